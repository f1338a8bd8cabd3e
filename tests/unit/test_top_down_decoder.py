"""A network of one person is read as it was trained, unless it is asked for otherwise, and never on other crops."""

from dataclasses import replace

import pytest

from shared import weights
from shared.codec import crops, heatmaps
from shared.errors import UserError
from shared.initial import initial
from shared.recipes import RECIPES, recipe
from shared.top_down import TopDown
from tests.unit.test_top_down import Placed


@pytest.mark.parametrize(
    ("trained", "asked", "found", "crop"),
    [
        ("", None, "argmax", crops.MSRA),
        ("", "udp", "udp", crops.UDP),
        ("argmax", None, "argmax", crops.MSRA),
        ("argmax", "dark", "dark", crops.MSRA),
        ("dark", None, "dark", crops.MSRA),
        ("dark", "softargmax", "softargmax", crops.MSRA),
        ("udp", None, "udp", crops.UDP),
        ("udp", "udp", "udp", crops.UDP),
        ("udp", "udp-border", "udp-border", crops.UDP),
        ("dark", "dark-border", "dark-border", crops.MSRA),
    ],
)
def test_the_decoder_is_the_one_asked_for_or_that_of_the_training(trained, asked, found, crop):
    predictor = TopDown(Placed(decoder=trained), asked)

    assert (predictor.spec.name, predictor.crop) == (found, crop)


@pytest.mark.parametrize(
    ("trained", "asked"), [("udp", "dark"), ("udp", "argmax"), ("argmax", "udp"), ("dark", "udp-border")]
)
def test_a_decoder_of_other_crops_is_refused(trained, asked):
    with pytest.raises(UserError, match=rf"--decoder {asked}: takes crops cut by the rule .* of {trained}; leave"):
        TopDown(Placed(decoder=trained), asked)


@pytest.mark.parametrize(("name", "decoder"), [("msra", "argmax"), ("dark", "dark"), ("udp", "udp")])
def test_a_trained_file_names_the_decoder_of_its_heatmaps(tmp_path, name, decoder):
    trained = replace(
        recipe("lpn_builtin", ["width=0.125"]), heatmaps=heatmaps.HEATMAPS[name],
        crops=crops.UDP if name == "udp" else crops.MSRA,
    )  # fmt: skip
    info, arrays = initial(trained)
    weights.write(tmp_path / "w.safetensors", arrays, info)

    assert weights.read(tmp_path / "w.safetensors")[1].decoder == decoder


def test_a_network_that_finds_people_names_none():
    info, _ = initial(replace(RECIPES["builtin_small"], width=1 / 16))

    assert "decoder" not in info.to_dict()
