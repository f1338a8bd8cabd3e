"""What the documents mention exists."""

import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from eval import cli, data, protocol
from shared import weights
from shared.inference import BottomUp
from shared.recipe import to_dict
from shared.recipes import BUILTIN_SMALL

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
NAME = re.compile(r"`((?:shared|converters|pytorch_impl|keras_impl|eval|demo|benchmarks)(?:\.\w+)+)`")
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


@pytest.mark.parametrize("path", ["README.md", "CHANGELOG.md", "docs/results.md"])
def test_the_published_ap_is_of_the_protocol_and_the_weights_of_today(path):
    text = (ROOT / path).read_text()

    assert protocol_of_the_shipped_network()[:12] in text
    if path != "CHANGELOG.md":
        assert weights.sha256(weights.SHIPPED)[:12] in text


@cache
def protocol_of_the_shipped_network() -> str:
    _, info = weights.read(weights.SHIPPED)
    benchmark = data.builtin()
    subset, records = data.subset(benchmark, None, None)
    net = SimpleNamespace(info=info, precision="float32")
    predictor = BottomUp(net).describe()
    ids = [r.id for r in records]
    record = protocol.protocol(benchmark.identity, subset, ids, predictor, cli._model(net), benchmark.metric.about)
    return protocol.digest(record)


@pytest.mark.parametrize("path", sorted((ROOT / "weights").glob("*.safetensors")), ids=lambda path: path.stem)
def test_a_shipped_network_has_its_hash_in_the_docs_and_is_of_todays_recipe(path):
    begin = json.loads(path.with_suffix(".log.jsonl").read_text().splitlines()[0])

    assert weights.sha256(path) in (ROOT / "docs" / "weights.md").read_text()
    today = json.loads(json.dumps(to_dict(BUILTIN_SMALL)))
    assert today["augment"].pop("snap") == 0  # newer than the logs; 0 is how windows were drawn
    assert begin["recipe"] == today
    assert begin["framework"] == ("keras" if path.stem.endswith("_keras") else "torch")
