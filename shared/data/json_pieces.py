"""A large JSON object read a piece at a time, so that memory does not follow the file's size."""

import codecs
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

_PIECE = 1 << 19  # bytes
_BLOCK = 64  # items: as many as stay in the processor's cache, twice as fast as 1000
_SPACE = re.compile(r"[ \t\n\r]*")


def pieces(path: Path, lists: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The keys and values of the object in a file, in its order; a value of `lists` comes in blocks of its items.

    A list comes as one block at least, an empty one; a value of `lists` that is no list comes whole.
    Raises ValueError, RecursionError or OSError where the file is not one JSON object: after what came before it.
    """
    with path.open("rb") as file:
        text = _Text(file)
        if text.sign("{[") == "[":
            raise ValueError("a JSON list, not an object")
        following = text.sign('"}', take=False)
        if following == "}":
            text.sign("}")
        while following != "}":
            key = text.value()
            text.sign(":")
            if key in lists and text.sign("", take=False) == "[":
                yield from ((key, block) for block in text.blocks())
            else:
                yield key, text.value()
            following = text.sign(",}")
            if following == ",":
                text.sign('"', take=False)
        text.end()


class _Text:
    """The text of a file from the current position on, as far as it has been read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.json = json.JSONDecoder()
        self.text, self.at = "", 0

    def more(self) -> bool:
        """Drop what was used and read on; False at the end of the file."""
        rest = self.text[self.at :]
        data = self.file.read(max(_PIECE, len(rest)))  # a value longer than a piece is tried again after doubling
        self.text, self.at = rest + self.decoder.decode(data, final=not data), 0
        return bool(data)

    def sign(self, expected: str, take: bool = True) -> str:
        """The next character that is not white space, one of `expected` (empty: any)."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr] # matches always
            if self.at < len(self.text):
                break
            if not self.more():
                raise ValueError("it ends too early")
        found = self.text[self.at]
        if expected and found not in expected:
            raise ValueError(f"found {found!r}, expected one of {expected}")
        self.at += take
        return found

    def value(self) -> Any:
        """The next JSON value."""
        self.sign("", take=False)
        while True:
            try:
                value, end = self.json.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.more():
                    raise
            else:
                if end < len(self.text) or not self.more():  # a number at the very end may go on
                    self.at = end
                    return value

    def blocks(self) -> Iterator[list[Any]]:
        """The items of the next list, some at a time."""
        self.sign("[")
        block: list[Any] = []
        following = self.sign("", take=False)
        if following == "]":
            self.sign("]")
        while following != "]":
            block.append(self.value())
            following = self.sign(",]")
            if len(block) == _BLOCK and following == ",":
                yield block
                block = []
        yield block

    def end(self) -> None:
        """Insist that nothing but white space follows."""
        while self.text[self.at :].isspace() or self.at == len(self.text):
            self.at = len(self.text)
            if not self.more():
                return
        raise ValueError("more text after its end")
