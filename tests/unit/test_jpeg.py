"""JPEGs: OpenCV's pixels, whatever the kind of file; damage is seen, and what is none is not taken for it."""

import itertools
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg

from shared.errors import UserError
from shared.image import encoded
from tests.unit.damage import DAMAGE, END, SECTOR, jpeg, scene

MINI = Path(__file__).parents[3] / "shared" / "data" / "coco_mini" / "images"
OPENCV = {
    1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8,
}  # fmt: skip
SAMPLING = [getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name}") for name in (411, 420, 422, 440, 444)]
PROGRESSIVE, RESTARTS = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 3)


def by_opencv(data, n=1):
    """What OpenCV reads, without a word of damage."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), OPENCV[n] | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1]


def check_against_opencv(data):
    picture = encoded(data, "picture")
    for n in OPENCV:
        np.testing.assert_array_equal(picture.decode(n), by_opencv(data, n))


def refused(data, match):
    """At every size, and by `check`."""
    picture = encoded(data, "x.jpg")
    for decode in (picture.check, *(lambda n=n: picture.decode(n) for n in OPENCV)):
        with pytest.raises(
            UserError, match=rf"^x.jpg: its {len(data)} bytes cannot be decoded \({match}.*\), "
        ) as caught:
            decode()
        assert "\n" not in str(caught.value)


def with_segment(data, marker, content):
    return data[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content + data[2:]


@pytest.mark.parametrize("flags", [(), PROGRESSIVE, RESTARTS])
def test_the_pixels_are_opencvs(flags):
    for (height, width), sampling in itertools.product([(64, 96), (97, 131), (6, 7), (1, 90)], SAMPLING):
        check_against_opencv(jpeg(scene(height, width), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, *flags))


def test_the_pixels_are_opencvs_in_grey_and_cmyk():
    check_against_opencv(jpeg(scene(97, 131, grey=True)))
    check_against_opencv(simplejpeg.encode_jpeg(np.dstack([scene(97, 131), scene(97, 131, grey=True)]), 95, "CMYK"))


def test_another_transform_has_other_pixels():
    """The comparison with OpenCV is not of pictures that come out the same anyhow."""
    data = jpeg()

    assert (simplejpeg.decode_jpeg(data, fastdct=True, fastupsample=True) != by_opencv(data)).any()


@pytest.mark.skipif(not MINI.is_dir(), reason="needs ../shared/data/coco_mini")
def test_photographs_are_whole_and_have_opencvs_pixels():
    paths = sorted(MINI.glob("*.jpg"))

    assert len(paths) == 42
    for path in paths:
        check_against_opencv(path.read_bytes())


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("flags", [(), RESTARTS])
def test_damage_is_refused(kind, flags):
    whole = jpeg(None, *flags)
    damaged = DAMAGE[kind](whole)

    assert by_opencv(damaged).shape == by_opencv(whole).shape
    assert (by_opencv(damaged) != by_opencv(whole)).any()
    encoded(whole, "whole").check()
    refused(damaged, "Corrupt JPEG data: |Unsupported marker")


AT_RANDOM = {  # kind -> what it does at a place of n bytes, and the least share that is to be seen
    "cut, and an end marker": (lambda data, at: data[:at] + END, 1.0),
    "5,000 bytes missing": (lambda data, at: data[:at] + data[at + 5000 :], 1.0),
    "4,096 bytes zeroed": (lambda data, at: data[:at] + bytes(SECTOR) + data[at + SECTOR :], 0.98),
    "512 bytes zeroed": (lambda data, at: data[:at] + bytes(512) + data[at + 512 :], 0.9),
    "a byte missing": (lambda data, at: data[:at] + data[at + 1 :], 0.15),
    "a bit flipped": (lambda data, at: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], 0.1),
}


@pytest.mark.slow
@pytest.mark.skipif(not MINI.is_dir(), reason="needs ../shared/data/coco_mini")
@pytest.mark.parametrize("kind", AT_RANDOM)
def test_how_much_damage_of_photographs_is_seen(kind, figure):
    damage, least = AT_RANDOM[kind]
    rng, seen = np.random.default_rng(0), []
    for path in sorted(MINI.glob("*.jpg")):
        data = path.read_bytes()
        start = data.index(b"\xff\xda") + 14  # the compressed data
        for place in rng.integers(start, len(data) - 5002, 24):
            at = place // SECTOR * SECTOR if "4,096" in kind and place // SECTOR * SECTOR > start else place
            try:
                encoded(damage(data, int(at)), path.name).check()
            except UserError:
                seen.append(1)
            else:
                seen.append(0)

    figure(f"damaged JPEGs, {kind}: {100 * np.mean(seen):.1f} % of {len(seen)} seen")
    assert least <= np.mean(seen)


@pytest.mark.parametrize("byte", [b"\0", b"\x7f", b"\xff\0"])
@pytest.mark.parametrize("flags", [(), PROGRESSIVE])
def test_padding_before_the_end_is_no_damage(byte, flags):
    whole = jpeg(None, *flags)
    padded = whole.removesuffix(END) + byte * 10 + END

    with pytest.raises(ValueError, match="extraneous bytes before marker 0xd9"):
        simplejpeg.decode_jpeg(padded)
    check_against_opencv(padded)
    check_against_opencv(padded + b"more")
    np.testing.assert_array_equal(encoded(padded, "padded").decode(), by_opencv(whole))


@pytest.mark.parametrize("extra", [bytes(30), b"\x12" * 10, bytes(9) + b"\x12"])
def test_more_padding_or_other_bytes_are_refused(extra):
    refused(jpeg().removesuffix(END) + extra + END, r"Corrupt JPEG data: \d+ extraneous bytes")


def test_padding_does_not_hide_damage():
    damaged = DAMAGE["cut, and an end marker"](jpeg()).removesuffix(END)

    refused(damaged + bytes(8) + END, "Corrupt JPEG data: ")


def test_a_profile_in_pieces_and_another_version_of_the_header_are_no_damage():
    whole = jpeg()
    version = whole.index(b"JFIF") + 5
    for changed, complaint in (
        (with_segment(whole, 0xE2, b"ICC_PROFILE\0\2\3" + bytes(40)), "bad ICC marker"),
        (whole[:version] + b"\2" + whole[version + 1 :], "unknown JFIF revision"),
    ):
        with pytest.raises(ValueError, match=complaint):
            simplejpeg.decode_jpeg(changed)
        check_against_opencv(changed)
        refused(DAMAGE["a zeroed sector"](changed), "Corrupt JPEG data: ")


def test_a_jpeg_that_libjpeg_would_write_beyond_its_array_is_refused_by_its_header():
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 1] = 0xC3  # lossless

    with pytest.raises(UserError, match=r"^x.jpg: a JPEG of kind SOF3, expected a baseline, .*; save it again as one$"):
        encoded(bytes(data), "x.jpg")


def test_colour_sampled_in_no_usual_way_is_refused():
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 11] = 0x31  # three columns

    refused(bytes(data), ".*subsampling")
