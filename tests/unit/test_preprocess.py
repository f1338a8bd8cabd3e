"""Looking colours up gives what calculating them does, to the bit."""

import numpy as np
import pytest

from shared.preprocess import PREPROCESS


@pytest.mark.parametrize("name", PREPROCESS)
def test_looked_up_is_calculated(name):
    preprocess = PREPROCESS[name]
    image = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), np.uint8)
    wanted = preprocess(image.astype(np.float32))
    out = np.full((2, 20, 30, 3), np.nan, np.float32)

    preprocess.into(image[1, :, ::-1], out[1])  # not in one piece

    np.testing.assert_array_equal(preprocess(image), wanted)
    np.testing.assert_array_equal(out[1], wanted[1, :, ::-1])
    assert np.isnan(out[0]).all()
    assert not np.array_equal(preprocess(image[..., ::-1]), wanted)
