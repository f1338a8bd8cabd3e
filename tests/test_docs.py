"""What the documents mention exists."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
NAME = re.compile(r"`((?:shared|converters|pytorch_impl|keras_impl|eval|demo)(?:\.\w+)+)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def resolve(name: str) -> object:
    """A module, or what is in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def mentioned(path: Path) -> list[str]:
    return sorted(set(NAME.findall(path.read_text())))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_links_lead_somewhere(path):
    for name in mentioned(path):
        if not name.endswith((".md", ".py", ".json", ".toml")):
            resolve(name)
    for link in LINK.findall(path.read_text()):
        assert (path.parent / link).exists(), link


def test_the_tour_names_what_it_walks_through():
    assert len(mentioned(ROOT / "docs" / "tour.md")) > 30


def test_a_name_that_is_gone_is_noticed():
    with pytest.raises(AttributeError):
        resolve("shared.coco.no_such_function")
