"""The options that name training data.  Nothing that reads it is imported here, so that --help is quick."""

from pathlib import Path
from typing import Any

from shared.data.rules import SPLITS

_FILES, _FILE = ("annotations", "images"), ("file",)
WANTED: dict[str, tuple[str, ...]] = {
    "builtin": (), "coco": _FILES, "mpii": _FILES, "packed": _FILE, "kevinlin": _FILE, "anatolix": _FILE,
}  # fmt: skip
KINDS = tuple(WANTED)


def add_arguments(p: Any) -> None:
    """The options that name training data, for every command that reads it; see `shared.data.sources`."""
    p.add_argument("--data", default="builtin", help="one of " + ", ".join(KINDS))
    p.add_argument("--root", type=Path, help="coco: folder of COCO as it unpacks, with --split")
    p.add_argument("--split", default="official", help="with --root: " + ", ".join(SPLITS))
    p.add_argument("--annotations", type=Path, help="person_keypoints_*.json, or MPII's train.json")
    p.add_argument("--images", type=Path, help="the folder of its images")
    p.add_argument("--file", type=Path, help="packed, kevinlin or anatolix: the HDF5 file")
