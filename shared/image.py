"""Pictures from files, safely: the file's own structure is checked before anything is decoded."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shared.errors import UserError

MAX_PIXELS = 100_000_000
_BYTES_PER_PIXEL = 8  # 16 bits in four channels; a larger file is not read at all
_METADATA = 1_000_000
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
# Frame headers of JPEG; 0xC4, 0xC8 and 0xCC are tables.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the first marker that is not part of compressed data
_REDUCED = {
    1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8,
}  # fmt: skip


class _CutOffError(Exception):
    """The file ends before its picture does."""


def read(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A JPEG, PNG, BMP or WebP picture as (H, W, 3) uint8 RGB; grey, 16-bit and transparent ones are converted.

    The camera's orientation tag is ignored: COCO's annotations are in the coordinates of the pixels as stored.
    Transparency is dropped, not blended.  Raises `UserError` for a file that is missing, no picture, larger than
    `max_pixels`, or cut off (OpenCV would fill what is missing with grey without a word).
    """
    path = Path(path)
    return decode(contents(path, max_pixels), path, max_pixels)


def decode(data: bytes, name: Path | str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """`read` for a picture whose bytes are at hand; `name` says in errors where they are from."""
    return encoded(data, name, max_pixels).decode()


def encoded(data: bytes, name: Path | str, max_pixels: int = MAX_PIXELS) -> "Encoded":
    """`decode` for later: what its header says is checked now."""
    return Encoded(data, name, size(data, name, max_pixels))


@dataclass(frozen=True, eq=False)
class Encoded:
    """A picture that is decoded when it is asked for; `size` is its (height, width)."""

    data: bytes
    name: Path | str
    size: tuple[int, int]

    def reduction(self, most: int) -> int:
        """The largest n of 1, 2, 4 and 8, at most `most`, for which `decode` gives 1/n: above 1 for JPEGs only."""
        return max(n for n in _REDUCED if n <= most) if self.data.startswith(_JPEG) else 1

    def decode(self, reduction: int = 1) -> np.ndarray:
        """(H, W, 3) uint8 RGB as `read` gives it, or with every px the mean of a square of `reduction` px a side.

        A reduced JPEG has ceil(H / reduction) rows and takes less time: its highest frequencies are not decoded.
        """
        flags = _REDUCED[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            image = cv2.imdecode(np.frombuffer(self.data, np.uint8), flags)
        except cv2.error:
            image = None
        if image is None or image.shape[:2] != tuple(-(-side // reduction) for side in self.size):
            n_bytes = len(self.data)
            raise UserError(
                f"{self.name}: its {n_bytes} bytes cannot be decoded, expected a whole picture; get the file again"
            )
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def size(data: bytes, name: Path | str, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a picture as its header says, without decoding it.  Raises as `read` does."""
    try:
        height, width = _size(data, name)
    except (_CutOffError, struct.error, IndexError):
        raise UserError(f"{name}: the picture is cut off after {len(data)} bytes; get the file again") from None
    if height * width > max_pixels:
        raise UserError(
            f"{name}: {width}x{height} px, expected at most {max_pixels / 1e6:g} megapixels; make it smaller"
        )
    return height, width


def contents(path: Path, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of a file that may be a picture.  Raises `UserError` if there are none or too many."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: not a file, expected a picture; name one picture")
        n_bytes, most = path.stat().st_size, _BYTES_PER_PIXEL * max_pixels + _METADATA
        if n_bytes > most:
            raise UserError(f"{path}: {n_bytes} bytes, expected at most {most} for a picture; make it smaller")
        return path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise UserError(f"{path}: {reason}; expected a picture that can be read") from None


def _size(data: bytes, name: Path | str) -> tuple[int, int]:
    """(height, width) as the header says; raises `_CutOffError` if the file is shorter than its structure asks for."""
    kinds: tuple[tuple[bytes, int, Callable[[bytes], tuple[int, int]]], ...] = (
        (_JPEG, 0, _jpeg),
        (_PNG, 0, _png),
        (b"BM", 0, _bmp),
        (b"WEBP", 8, _webp),
    )
    for magic, start, measure in kinds:
        if data[start : start + len(magic)] == magic:
            return measure(data)
    found = f"begins with {data[:8]!r}" if data else "the file is empty"
    raise UserError(f"{name}: {found}, expected a JPEG, PNG, BMP or WebP picture; is it one?")


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walk the segments to the end of the image; a thumbnail inside a segment is stepped over."""
    position, size = 2, None
    while True:
        if data[position] != 0xFF:
            raise _CutOffError
        marker = data[position + 1]
        if marker == _JPEG_END and size is not None:
            return size
        if marker == 0xFF or marker in _JPEG_BARE:  # a fill byte, or a marker by itself
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _JPEG_FRAMES:
            size = struct.unpack_from(">HH", data, position + 5)
        position += 2 + length
        if marker == _JPEG_SCAN:
            following = _AFTER_SCAN.search(data, position)
            if following is None:
                raise _CutOffError
            position = following.start()


def _png(data: bytes) -> tuple[int, int]:
    position = len(_PNG)
    while data[position + 4 : position + 8] != b"IEND":
        (length,) = struct.unpack_from(">I", data, position)
        position += 12 + length  # length, name, data, checksum
    width, height = struct.unpack_from(">II", data, len(_PNG) + 8)
    return height, width


def _bmp(data: bytes) -> tuple[int, int]:
    (n_bytes,) = struct.unpack_from("<I", data, 2)
    if n_bytes > len(data):
        raise _CutOffError
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), abs(width)


def _webp(data: bytes) -> tuple[int, int]:
    (n_bytes,) = struct.unpack_from("<I", data, 4)
    if n_bytes + 8 > len(data):
        raise _CutOffError
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return height, width
