"""Protobuf's text format: what Caffe's files use of it, and errors with their line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters import prototxt
from converters.prototxt import Word
from shared.errors import UserError

EVERYTHING = """
# a comment
name: "with # and \\"quotes\\""; input: 'data' 'set'
input_dim: 1 input_dim: 3, input_dim: [368, 0x10]
input_shape { dim: 1 dim: 3 } # trailing
layer < type: "Pooling" pooling_param: { pool: MAX stride: 2 ratio: 0.5f global: true } >
"""


def test_parse_reads_comments_strings_lists_words_and_both_kinds_of_braces():
    assert prototxt.parse(EVERYTHING, "x") == {
        "name": ['with # and "quotes"'],
        "input": ["dataset"],
        "input_dim": [1, 3, 368, 16],
        "input_shape": [{"dim": [1, 3]}],
        "layer": [
            {"type": ["Pooling"], "pooling_param": [{"pool": ["MAX"], "stride": [2], "ratio": [0.5], "global": [True]}]}
        ],
    }


def test_windows_line_ends_change_nothing():
    assert prototxt.parse(EVERYTHING.replace("\n", "\r\n"), "x") == prototxt.parse(EVERYTHING, "x")


def test_a_byte_order_mark_is_skipped(tmp_path):
    path = tmp_path / "a.prototxt"
    path.write_bytes(b'\xef\xbb\xbfname: "a"')

    assert prototxt.read(path) == {"name": ["a"]}


def test_write_is_undone_by_parse():
    message = {"a": ['x "y" \\ z\n', Word("MAX"), 3, -0.25, True], "b": [{"c": [{}], "d": [1]}, {}]}

    parsed = prototxt.parse(prototxt.write(message), "x")

    assert parsed == message
    assert [type(value) for value in parsed["a"]] == [str, Word, int, float, bool]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb {\n c: 2\n", r"x:4: the file ends inside the braces of line 2"),
        ("a: 1\n}", r"x:2: found '}', expected the name of a field"),
        ("a: 1\nb:\n}", r"x:3: found '}', expected a value"),
        ("a: 1\nb 2", r"x:2: found '2', expected a colon or a brace"),
        ('a: "open\nb: 1', r"x:1: found '\"open"),
        ("a: [1 2]", r"x:1: found '2', expected a comma"),
        ("a:", r"x:1: found 'the end of the file', expected a value"),
        ("9a: 1", r"x:1: found '9a', expected the name"),
        ("a {" * 60, r"x:1: more than 50 nested braces"),
    ],
)
def test_an_error_names_file_line_and_what_was_expected(text, message):
    with pytest.raises(UserError, match=message):
        prototxt.parse(text, "x")


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\x00", b"\xff\xfe\x00\x01", b"abc\0"])
def test_a_binary_file_is_refused_with_a_hint(tmp_path, data):
    path = tmp_path / "a.prototxt"
    path.write_bytes(data)

    with pytest.raises(UserError, match=r"not a text file.*exchanged"):
        prototxt.read(path)


@given(st.text(alphabet="ab:{}[]<>,;\"'\\ \n#1.-", max_size=40))
def test_any_text_is_parsed_or_refused_in_one_line(text):
    try:
        prototxt.parse(text, "x")
    except UserError as error:
        assert str(error).startswith("x:")  # noqa: PT017 (either outcome is right)
