"""Reading pictures: what is converted, and what is refused before it is decoded."""

import contextlib
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from shared.image import encoded as opened
from shared.image import read

LOSSY = 12  # JPEG moves smooth colours by less


def picture(height=40, width=56):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 4, columns * 4, rows + columns], axis=-1).astype(np.uint8)


def encoded(suffix, image=None, flags=()):
    image = picture()[..., ::-1] if image is None else image
    return cv2.imencode(suffix, image, list(flags))[1].tobytes()


def written(tmp_path, data, name="picture"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def refused(path, match, **limits):
    with pytest.raises(UserError, match=match) as caught:
        read(path, **limits)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_lossless_picture_is_read_as_rgb(tmp_path, suffix):
    np.testing.assert_array_equal(read(written(tmp_path, encoded(suffix))), picture())


@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
def test_every_kind_of_jpeg_is_read(tmp_path, flags):
    found = read(written(tmp_path, encoded(".jpg", flags=flags)))

    assert np.abs(found.astype(int) - picture()).max() <= LOSSY


@pytest.mark.parametrize("quality", [80, 101])  # above 100: lossless, another header
def test_webp_is_read(tmp_path, quality):
    found = read(written(tmp_path, encoded(".webp", flags=(cv2.IMWRITE_WEBP_QUALITY, quality))))

    assert found.shape == (40, 56, 3)


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = picture()[..., 0]

    found = read(written(tmp_path, encoded(".png", grey)))

    np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, axis=-1))


def test_alpha_is_dropped_and_16_bits_become_8(tmp_path):
    with_alpha = np.dstack([picture()[..., ::-1], np.full((40, 56), 7, np.uint8)])
    deep = picture()[..., ::-1].astype(np.uint16) * 256

    for image in (with_alpha, deep):
        np.testing.assert_array_equal(read(written(tmp_path, encoded(".png", image))), picture())


def with_segment(jpeg, marker, content):
    segment = b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content
    return jpeg[:2] + segment + jpeg[2:]


def test_the_orientation_tag_is_ignored(tmp_path):
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path = written(tmp_path, with_segment(encoded(".jpg"), 0xE1, turned))

    assert cv2.imread(str(path)).shape == (56, 40, 3), "the tag is not understood, so the test shows nothing"
    assert read(path).shape == (40, 56, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
def test_a_cut_off_picture_is_refused(tmp_path, suffix, share):
    data = encoded(suffix)

    refused(written(tmp_path, data[: max(16, int(len(data) * share))]), "cut off")


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(tmp_path):
    whole = with_segment(encoded(".jpg"), 0xE1, b"Exif\0\0" + encoded(".jpg", picture(8, 8)))

    assert read(written(tmp_path, whole)).shape == (40, 56, 3)
    refused(written(tmp_path, whole[:-40]), "cut off")


def test_bytes_after_the_end_do_no_harm(tmp_path):
    assert read(written(tmp_path, encoded(".jpg") + b"\0" * 5000)).shape == (40, 56, 3)


def test_a_huge_picture_is_refused_by_its_header(tmp_path):
    header = struct.pack(">II5B", 60_000, 50_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))

    path = written(tmp_path, png + b"\0\0\0\0IEND\xaeB`\x82")

    refused(path, r"60000x50000 px, expected at most 100 megapixels; make it smaller")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_the_limit_is_the_callers(tmp_path, suffix):
    path = written(tmp_path, encoded(suffix))

    assert read(path, max_pixels=40 * 56).shape == (40, 56, 3)
    refused(path, "56x40 px, expected at most", max_pixels=40 * 56 - 1)


def test_a_file_too_large_for_any_picture_is_not_read(tmp_path):
    refused(written(tmp_path, b"\0" * 1_100_000), "bytes, expected at most", max_pixels=100)


def test_what_is_no_picture_is_refused(tmp_path):
    refused(written(tmp_path, b"hello, world"), "begins with b'hello, w', expected a JPEG")
    refused(written(tmp_path, b""), "the file is empty, expected a JPEG")
    refused(tmp_path, "not a file, expected a picture")
    refused(tmp_path / "nothing.jpg", "no such file; expected a picture")


def test_a_spoilt_png_is_refused(tmp_path):
    data = bytearray(encoded(".png"))
    start = data.index(b"IDAT") + 4
    data[start : start + 20] = b"\xff" * 20

    refused(written(tmp_path, bytes(data)), "cannot be decoded|cut off")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from([".jpg", ".png", ".bmp", ".webp"]), junk=st.binary(max_size=120), keep=st.integers(0, 60))
def test_no_bytes_raise_anything_but_a_user_error(tmp_path, kind, junk, keep):
    path = written(tmp_path, encoded(kind)[:keep] + junk)

    with contextlib.suppress(UserError):
        assert read(path).dtype == np.uint8


@pytest.mark.parametrize("n", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(40, 56), (41, 57), (33, 50)])
def test_a_jpeg_is_decoded_at_a_part_of_its_size(n, size):
    found = opened(encoded(".jpg", picture(*size)[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 98)), "drawn")

    small = found.decode(n)

    assert found.size == size
    assert small.shape == (-(-size[0] // n), -(-size[1] // n), 3)
    rows, columns = (side // n for side in size)
    means = picture(*size)[: rows * n, : columns * n].reshape(rows, n, columns, n, 3).mean(axis=(1, 3))
    assert np.abs(small[:rows, :columns] - means).mean() < 1.5


@pytest.mark.parametrize(("suffix", "wanted"), [(".jpg", (1, 2, 2, 4, 8)), (".png", (1, 1, 1, 1, 1))])
def test_only_jpegs_are_reduced(suffix, wanted):
    found = opened(encoded(suffix), "drawn")

    assert tuple(found.reduction(most) for most in (1, 2, 3, 7, 100)) == wanted


def test_the_orientation_tag_is_ignored_at_every_size():
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00" + bytes(4)
    turned = opened(with_segment(encoded(".jpg"), 0xE1, exif), "drawn")

    assert [turned.decode(n).shape[:2] for n in (1, 2)] == [(40, 56), (20, 28)]


def test_damage_is_found_when_a_picture_is_decoded():
    data = bytearray(encoded(".jpg"))
    tables = data.index(b"\xff\xc4")
    data[tables + 5 : tables + 20] = b"\xff" * 15  # more codes than there can be

    found = opened(bytes(data), "damaged.jpg")

    for n in (1, 2):
        with pytest.raises(UserError, match=r"^damaged.jpg: its \d+ bytes cannot be decoded"):
            found.decode(n)
