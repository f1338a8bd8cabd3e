"""The fetch command: published weights from their publisher, or from a file at hand, verified."""

import argparse
import hashlib
import json
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.command import command
from shared.errors import UserError, unknown
from shared.weights import existing, replacing

LIST = Path(__file__).resolve().parents[1] / "weights.toml"
_HASHES = ("sha256", "sha1", "md5")


@dataclass(frozen=True)
class Entry:
    """One published file, as `weights.toml` describes it."""

    name: str
    what: str
    model: str
    file: str
    urls: Sequence[str]
    licence: str
    non_commercial: bool
    size: int | None = None
    prototxt: str | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    hashes_from: str = ""


def entries(path: Path) -> dict[str, Entry]:
    """Every entry of a list of weights, by name."""
    found = {}
    for name, values in tomllib.loads(path.read_text()).items():
        hashes = {kind: values.pop(kind).lower() for kind in _HASHES if kind in values}
        found[name] = Entry(name=name, hashes=hashes, **values)
    return found


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fetch.py", description=__doc__)
    parser.add_argument("name", nargs="?", help="which weights; --list shows them")
    parser.add_argument("--list", action="store_true", help="show all known weights, and stop")
    parser.add_argument("--file", type=Path, help="a copy that you have: verify and use it, without the network")
    parser.add_argument("--url", help="another address of the same file")
    parser.add_argument("--out", type=Path, default=Path("data/weights"), help="folder (default: %(default)s)")
    parser.add_argument("--accept-licence", action="store_true", help="you have read the licence, and agree")
    return parser


@command(parser)
def main(arguments: argparse.Namespace) -> int:
    known = entries(LIST)
    if arguments.list:
        print("\n".join(_line(entry) for entry in known.values()))
        return 0
    if arguments.name not in known:
        raise unknown("weights", arguments.name or "(no name given)", known)
    entry = known[arguments.name]
    _agree(entry, arguments.accept_licence)
    try:
        print(fetch(entry, arguments.out, file=arguments.file, url=arguments.url))
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--out {arguments.out}: cannot be written ({reason}); choose another folder") from None
    return 0


def _line(entry: Entry) -> str:
    size = "size unknown" if entry.size is None else f"{entry.size / 1e6:.0f} MB"
    proof = ", ".join(entry.hashes) or "no published hash"
    lines = (f"{entry.name:28}{entry.file}  ({size}; {proof})", entry.what, f"licence: {entry.licence}")
    return f"\n{'':28}".join(lines)


def _agree(entry: Entry, accepted: bool) -> None:
    """Insist on consent where the licence forbids commercial use or is unknown."""
    if not entry.non_commercial or accepted:
        return
    print(f"{entry.file}: {entry.what}\nlicence: {entry.licence}", file=sys.stderr)
    if not sys.stdin.isatty():
        raise UserError(f"{entry.name}: its licence asks your consent ({entry.licence}); add --accept-licence")
    print("Do you agree? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError(f"{entry.name}: licence not accepted; nothing was downloaded")


def fetch(entry: Entry, folder: Path, file: Path | None = None, url: str | None = None) -> Path:
    """The verified file in `folder`: already there, copied from `file`, or downloaded (from `url` first).

    Beside it lies `FILE.fetched.json`: source, size, SHA-256, licence, and by what it was verified.
    """
    target = folder / entry.file
    if file is not None:
        _insist(existing(file, entry.file), entry, target)
        if file.resolve() != target.resolve():
            with replacing(target) as temporary:
                shutil.copyfile(file, temporary)
        _record(target, entry, str(file))
    elif target.exists():
        _insist(target, entry, target)
    else:
        _download(entry, target, [url, *entry.urls] if url else entry.urls)
    prototxt = target.with_suffix(".prototxt")
    if entry.prototxt is not None and not prototxt.exists():
        if file is None:
            _get_prototxt(entry.prototxt, prototxt)
        else:
            print(f"its prototxt: {entry.prototxt}", file=sys.stderr)
    return target


def _download(entry: Entry, target: Path, urls: Sequence[str]) -> None:
    """Try the addresses in order; a file that is not the right one counts as not there."""
    from converters.download import download

    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if not entry.hashes:
        part.unlink(missing_ok=True)  # nothing would prove that both halves are of one file
    for url in urls:
        try:
            download(url, part, entry.size)
        except UserError as error:
            print(error, file=sys.stderr)
            continue
        problem = _problem(part, entry, target)
        if problem is None:
            part.replace(target)
            _record(target, entry, url)
            return
        part.unlink()
        print(f"{url}: {problem}; thrown away", file=sys.stderr)
    raise UserError(
        f"{entry.name}: none of its {len(urls)} addresses gave the file (each reason is above). "
        "Try later, or get it elsewhere and give it with --file"
    )


def _insist(path: Path, entry: Entry, target: Path) -> None:
    problem = _problem(path, entry, target)
    if problem is not None:
        raise UserError(f"{path}: {problem}; it is damaged or another file: get it again")


def _problem(path: Path, entry: Entry, target: Path) -> str | None:
    """What is wrong with a file, by size and hashes; without a published hash, by that of the first fetch."""
    size = path.stat().st_size
    if entry.size is not None and size != entry.size:
        return f"{size} bytes, expected {entry.size}"
    hashes, source = (entry.hashes, entry.hashes_from) if entry.hashes else _recorded(target)
    if not hashes:
        print(f"{path}: not verified, nobody published a hash; it is recorded now", file=sys.stderr)
    for kind, expected in hashes.items():
        found = _digest(path, kind)
        if found != expected:
            return f"{kind} {found}, expected {expected} (from {source})"
    return None


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _receipt(target: Path) -> Path:
    return target.with_name(f"{target.name}.fetched.json")


def _recorded(target: Path) -> tuple[dict[str, str], str]:
    """The hash of the first fetch, if there was one."""
    receipt = _receipt(target)
    if not receipt.exists():
        return {}, ""
    return {"sha256": json.loads(receipt.read_text())["sha256"]}, f"the first fetch, {receipt.name}"


def _record(target: Path, entry: Entry, source: str) -> None:
    values = {
        "name": entry.name,
        "source": source,
        "size": target.stat().st_size,
        "sha256": _digest(target, "sha256"),
        "verified_by": sorted(entry.hashes) or "nothing: recorded at the first fetch",
        "licence": entry.licence,
        "non_commercial": entry.non_commercial,
    }
    with replacing(_receipt(target)) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n")


def _get_prototxt(url: str, target: Path) -> None:
    """The network's description beside its weights, which are good without it: a failure is only told."""
    from converters.download import download

    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        download(url, part)
        part.replace(target)
    except UserError as error:
        print(f"no prototxt: {error}; get it from there by hand", file=sys.stderr)
