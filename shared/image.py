"""Pictures from files, safely: the file's own structure is checked before anything is decoded."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from shared import jpeg
from shared.errors import UserError

MAX_PIXELS = 100_000_000
_BYTES_PER_PIXEL = 8  # 16 bits in four channels; a larger file is not read at all
_METADATA = 1_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_REDUCTIONS = (1, 2, 4, 8)


def read(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A JPEG, PNG, BMP or WebP picture as (H, W, 3) uint8 RGB; grey, 16-bit and transparent ones are converted.

    The camera's orientation tag is ignored: COCO's annotations are in the coordinates of the pixels as stored.
    Transparency is dropped, not blended.  Raises `UserError` for a file that is missing, no picture, larger than
    `max_pixels`, cut off (OpenCV would fill what is missing with grey without a word), or damaged as far as the
    format shows it: docs/decisions/0009-damaged-pictures.md.
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
        return max(n for n in _REDUCTIONS if n <= most) if self._is_jpeg else 1

    def decode(self, reduction: int = 1) -> np.ndarray:
        """(H, W, 3) uint8 RGB as `read` gives it, or with every px the mean of a square of `reduction` px a side.

        `reduction` is one that the method of this name gives.  A reduced JPEG has ceil(H / reduction) rows and takes
        less time: its highest frequencies are not decoded.
        """
        try:
            image = jpeg.decode(self.data, self.size, reduction) if self._is_jpeg else _opencv(self.data)
            if image.shape[:2] != tuple(-(-side // reduction) for side in self.size):
                raise ValueError(f"to {image.shape[1]}x{image.shape[0]} px only")
        except ValueError as error:
            raise UserError(
                f"{self.name}: its {len(self.data)} bytes cannot be decoded ({' '.join(str(error).split())}), expected "
                "a whole picture; get the file again, or save it anew if it is as published"
            ) from None
        return image

    def check(self) -> None:
        """Raises `UserError` if `decode` would; a JPEG takes less time."""
        self.decode(self.reduction(_REDUCTIONS[-1]))

    @property
    def _is_jpeg(self) -> bool:
        return self.data.startswith(jpeg.MAGIC)


def size(data: bytes, name: Path | str, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) of a picture as its header says, without decoding it.  Raises as `read` does."""
    try:
        height, width = _size(data, name)
    except (EOFError, struct.error, IndexError):
        raise UserError(f"{name}: the picture is cut off after {len(data)} bytes; get the file again") from None
    except ValueError as error:
        raise UserError(f"{name}: {error}; save it again as one") from None
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


def _opencv(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB.  Raises `ValueError`."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError("OpenCV gives up")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _size(data: bytes, name: Path | str) -> tuple[int, int]:
    """(height, width) as the header says; raises `EOFError` and others if the file is too short for it."""
    kinds: tuple[tuple[bytes, int, Callable[[bytes], tuple[int, int]]], ...] = (
        (jpeg.MAGIC, 0, jpeg.size),
        (_PNG, 0, _png),
        (b"BM", 0, _bmp),
        (b"WEBP", 8, _webp),
    )
    for magic, start, measure in kinds:
        if data[start : start + len(magic)] == magic:
            return measure(data)
    found = f"begins with {data[:8]!r}" if data else "the file is empty"
    raise UserError(f"{name}: {found}, expected a JPEG, PNG, BMP or WebP picture; is it one?")


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
        raise EOFError
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), abs(width)


def _webp(data: bytes) -> tuple[int, int]:
    (n_bytes,) = struct.unpack_from("<I", data, 4)
    if n_bytes + 8 > len(data):
        raise EOFError
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return height, width
