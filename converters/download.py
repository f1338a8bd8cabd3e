"""One file over HTTP: resumed where it stopped, never taken for whole when it is not."""

import http.client
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from shared.errors import UserError

_BLOCK = 1 << 18
_TIMEOUT = 30  # seconds without a byte
_ATTEMPTS = 4  # in a row that brought nothing new
_PAUSE = 2.0  # seconds before each of them
_LIMIT = 4 << 30  # bytes; the largest known file is 0.6 GB


def download(url: str, part: Path, size: int | None = None) -> None:
    """Fetch `url` into `part`, going on from what `part` has; `size` is the number of bytes, where known.

    A connection that breaks off is taken up again.  Raises `UserError` for what trying again does not help;
    `part` is then left as it is, for a later resume.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UserError(f"{url}: expected an http or https address; for a file on this machine use --file")
    failures = 0
    while failures < _ATTEMPTS:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _continue(url, part, before, size):
                return
            reason = "the connection broke off"
        except HTTPError as error:
            raise UserError(f"{url}: the server answers {error.code} ({error.reason})") from None
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        grown = part.exists() and part.stat().st_size > before
        failures = 0 if grown else failures + 1
        time.sleep(0 if grown else _PAUSE)
    raise UserError(f"{url}: {reason}, {_ATTEMPTS} times without a byte; run the same command again to go on")


def _continue(url: str, part: Path, start: int, size: int | None) -> bool:
    """One request for the rest of the file.  Whether the file is whole now."""
    headers = {"User-Agent": "openpose-reproduction", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not start:
            raise
        return _beyond_the_end(error, part, start)
    with response:
        if "text/html" in response.headers.get("Content-Type", ""):
            raise UserError(f"{url}: answers with a web page, not with the file; get it by hand and use --file")
        if response.status != 206:  # the server starts from the beginning
            start = 0
        total = _total(response, start)
        expected = total if size is None else size
        if total is not None and total != expected:
            raise UserError(f"{url}: has {total} bytes, expected {expected}; it is another file")
        received = _append(response, part, start, expected)
    return received == expected if expected is not None else True


def _beyond_the_end(error: HTTPError, part: Path, start: int) -> bool:
    """The server has nothing after `start`: either all is here, or what is here is not this file."""
    if error.headers.get("Content-Range", "").strip() == f"bytes */{start}":
        return True
    part.unlink()
    return False


def _total(response: Any, start: int) -> int | None:
    length = response.headers.get("Content-Length")
    return None if length is None else start + int(length)


def _append(response: Any, part: Path, start: int, expected: int | None) -> int:
    """Write the body behind the first `start` bytes of `part`; the number of bytes that `part` then has."""
    from tqdm import tqdm

    received = start
    with (
        part.open("ab" if start else "wb") as file,
        tqdm(total=expected, initial=start, unit="B", unit_scale=True, desc=part.stem, mininterval=1) as bar,
    ):
        while block := response.read(_BLOCK):
            received += len(block)
            if received > (_LIMIT if expected is None else expected):
                raise UserError(f"{response.url}: sends more than {expected or _LIMIT} bytes; it is another file")
            file.write(block)
            bar.update(len(block))
    return received
