"""Protobuf's text format, as Caffe's network files use it: parsed without a schema, with line numbers, and written."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from converters.caffemodel import read_bytes
from shared.errors import UserError


class Word(str):
    """A bare word: an enum value such as MAX."""

    __slots__ = ()


Message = dict[str, list]  # field -> its values, in order; every field counts as repeated

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f\v]+|\#[^\n]*) | (?P<line>\n)
    | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<mark>[{}<>:;,\[\]]) | (?P<word>[^\s{}<>:;,\[\]"'#]+)""",
    re.VERBOSE,
)
_CLOSING = {"{": "}", "<": ">"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_DEEPEST = 50
_LARGEST = 16 << 20  # bytes; the published files have 50 kB


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def read(path: Path) -> Message:
    """A text file as nested fields.  Raises `UserError` with the line for one that does not parse."""
    data = read_bytes(path, "a prototxt")
    try:
        text = data[:_LARGEST].decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or len(data) > _LARGEST:
        raise UserError(f"{path}: not a text file, expected a prototxt; were --prototxt and --caffemodel exchanged?")
    return parse(text, str(path))


def parse(text: str, where: str) -> Message:
    """`text` as nested fields; `where` begins the message of an error."""
    return _Parser(text, where).message("", 0, 1)


def write(message: Message, indent: str = "") -> str:
    """The inverse of `parse`, one field a line."""
    lines = []
    for name, values in message.items():
        for value in values:
            if isinstance(value, dict):
                lines.append(f"{indent}{name} {{\n{write(value, indent + '  ')}{indent}}}\n")
            else:
                lines.append(f"{indent}{name}: {_written(value)}\n")
    return "".join(lines)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not isinstance(value, Word):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return str(value)


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.tokens = self._scan(text)
        self.next = _Token("", "", 1)
        self._advance()

    def message(self, closing: str, depth: int, start: int) -> Message:
        """Fields up to `closing`, or up to the end of the file where it is empty; they begin in line `start`."""
        if depth > _DEEPEST:
            self._fail(f"more than {_DEEPEST} nested braces")
        fields: Message = {}
        while self.next.text != closing:
            if self.next.kind == "end":
                self._fail(f"the file ends inside the braces of line {start}; is it truncated?")
            name = self._take()
            if name.kind != "word" or not _NAME.fullmatch(name.text):
                self._fail(f"found {name.text!r}, expected the name of a field", name.line)
            fields.setdefault(name.text, []).extend(self._values(depth))
            while self.next.kind == "mark" and self.next.text in ";,":
                self._advance()
        return fields

    def _values(self, depth: int) -> list:
        colon = self._accept(":")
        if self._accept("["):
            values: list = []
            while not self._accept("]"):
                values.append(self._value(depth, colon))
                if not self._accept(",") and self.next.text != "]":
                    self._fail(f"found {self.next.text!r}, expected a comma or ]")
            return values
        return [self._value(depth, colon)]

    def _value(self, depth: int, colon: bool) -> object:
        token = self._take()
        if token.kind == "mark" and token.text in _CLOSING:
            fields = self.message(_CLOSING[token.text], depth + 1, token.line)
            self._advance()
            return fields
        if token.kind not in ("string", "word") or not colon:
            wanted = "a value" if colon else "a colon or a brace"
            self._fail(f"found {token.text or 'the end of the file'!r}, expected {wanted}", token.line)
        if token.kind == "word":
            return _converted(token.text)
        text = _unquoted(token.text)
        while self.next.kind == "string":  # neighbouring strings are one, as in C
            text += _unquoted(self._take().text)
        return text

    def _accept(self, mark: str) -> bool:
        if self.next.kind == "mark" and self.next.text == mark:
            self._advance()
            return True
        return False

    def _take(self) -> _Token:
        token = self.next
        self._advance()
        return token

    def _advance(self) -> None:
        self.next = next(self.tokens)

    def _scan(self, text: str) -> Iterator[_Token]:
        position, line = 0, 1
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                self._fail(f"found {text[position : position + 20]!r}, expected prototxt", line)
            position = match.end()
            if match.lastgroup == "line":
                line += 1
            elif match.lastgroup != "space":
                yield _Token(str(match.lastgroup), match[0], line)
        while True:
            yield _Token("end", "", line)

    def _fail(self, problem: str, line: int | None = None) -> NoReturn:
        raise UserError(f"{self.where}:{line or self.next.line}: {problem}")


def _converted(word: str) -> object:
    if word in ("true", "false"):
        return word == "true"
    if _INTEGER.fullmatch(word) and len(word) < 30:
        return int(word, 16) if "x" in word.lower() else int(word)
    try:
        return float(word.removesuffix("f") if word[-1:] == "f" and "inf" not in word else word)
    except ValueError:
        return Word(word)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
