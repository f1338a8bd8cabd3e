"""JPEG: the segments of a file, and decoding that does not pass over damage (docs/decisions/0009)."""

import re
import struct
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import simplejpeg

MAGIC = b"\xff\xd8\xff"
# Frame headers; 0xC4, 0xC8 and 0xCC are tables.  Of a lossless JPEG that is to be reduced, simplejpeg (1.9) writes
# every pixel into an array that is too small; the other kinds are those that libjpeg does not decode.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_OTHER_FRAMES = frozenset(range(0xC0, 0xD0)) - _FRAMES - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_SCAN, _END = 0xDA, 0xD9
_APP0, _APP2 = 0xE0, 0xE2  # JFIF, ICC
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the first marker that is not part of compressed data

# What libjpeg warns of and is not damage; see `_mended`.
_METADATA = re.compile(r"Corrupt JPEG data: bad ICC marker|Warning: unknown JFIF revision number .*")
_EXTRANEOUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
_PADDING = b"\x00\x7f\xff"
_MOST_PADDING = 16  # bytes beyond the last few, which libjpeg does not count


def size(data: bytes) -> tuple[int, int]:
    """(height, width) as the header says.

    Raises `EOFError`, `IndexError` or `struct.error` if the file is shorter than its segments, up to the end of the
    image, ask for, and `ValueError` for a kind of JPEG that is not read.
    """
    found = None
    for marker, place in _segments(data):
        if marker in _OTHER_FRAMES:
            raise ValueError(f"a JPEG of kind SOF{marker - 0xC0}, expected a baseline, extended or progressive one")
        if marker in _FRAMES:
            found = struct.unpack_from(">HH", data, place + 5)
    if found is None:
        raise EOFError
    return found


def decode(data: bytes, size: tuple[int, int], reduction: int = 1) -> np.ndarray:
    """(ceil(H / reduction), ceil(W / reduction), 3) uint8 RGB of a JPEG of which `size` is known; grey and CMYK too.

    The pixels are OpenCV's, bit for bit, as both ask libjpeg-turbo for its slow, exact transform.  Raises
    `ValueError` with libjpeg's own words if it says anything of the file, but for `_mended`.
    """
    height, width = (-(-side // reduction) for side in size)
    try:
        return simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, min_factor=reduction)
    except ValueError as error:
        mended = _mended(data, str(error))
        if len(mended) == len(data):
            raise
    return decode(mended, size, reduction)


def _mended(data: bytes, complaint: str) -> bytes:
    """The same picture without what libjpeg complains of, if that is none of its pixels; else `data`.

    That is a profile in pieces or a version of the header, which change no pixel, and padding: a few bytes between
    the last block and the end, of zeros or ones, as some cameras leave.  libjpeg tells only of the first
    thing that it finds, so that what is left has to be decoded without a word.
    """
    segments = list(_segments(data))
    end = segments[-1][1]
    if _METADATA.fullmatch(complaint):
        kept = [data[a:b] for (marker, a), (_, b) in pairwise(segments) if marker not in (_APP0, _APP2)]
        return data[:2] + b"".join(kept) + data[end:]
    extraneous = _EXTRANEOUS.fullmatch(complaint)
    n = int(extraneous[1]) if extraneous else 0
    if n <= _MOST_PADDING and not data[end - n : end].strip(_PADDING):
        return data[: end - n] + data[end:]
    return data


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, place of its 0xFF) of every segment that has a length, and of the end of the image.

    A thumbnail inside a segment is stepped over.
    """
    place = 2
    while data[place] == 0xFF:
        marker = data[place + 1]
        if marker == _END:
            yield marker, place
            return
        if marker == 0xFF or marker in _BARE:  # a fill byte, or a marker by itself
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        yield marker, place
        place += 2 + length
        if marker == _SCAN:
            following = _AFTER_SCAN.search(data, place)
            if following is None:
                raise EOFError
            place = following.start()
    raise EOFError
