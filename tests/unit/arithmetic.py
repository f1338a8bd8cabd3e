"""Networks made of arithmetic, for the tests of inference."""

from types import SimpleNamespace

import numpy as np

from shared.codec import fast
from shared.merging import in_cells
from shared.preprocess import RAW_BGR

STRIDE = 8


def info(name):
    return SimpleNamespace(spec=SimpleNamespace(skeleton=name), preprocess=RAW_BGR)


class Arithmetic:
    """A network: `rule` makes the maps of one image (H, W, 3) BGR; the sizes of all batches are kept in `calls`.

    Its device is the host.
    """

    weights_sha256, runtime, precision = "", "arithmetic", "float32"
    merge = staticmethod(in_cells)

    def __init__(self, rule, name="coco18"):
        self.rule, self.info, self.calls = rule, info(name), []

    def __call__(self, images, stages=False):
        self.calls.append(images.shape)
        each = [self.rule(image) for image in images]
        return {name: np.stack([maps[name] for maps in each]) for name in each[0]}

    def tensors(self, images):
        return self(images)

    def candidates(self, maps, skeleton, spec):
        assert len({each["heat"].shape for each in maps}) == 1
        return [candidates(each["heat"], each["paf"], skeleton, spec) for each in maps]


def candidates(heat, paf, skeleton, spec):
    """What `shared.codec.fast.decode` makes people of."""
    points, firsts = fast.peaks(heat, skeleton.n_keypoints, spec)
    return fast.Candidates(points, firsts, fast.pairs(points, firsts, paf, skeleton, spec))


def cells(image):
    """(h, w, 8, 8, 3): the pixels of every cell."""
    height, width = (side // STRIDE for side in image.shape[:2])
    return image[: height * STRIDE, : width * STRIDE].reshape(height, STRIDE, width, STRIDE, 3).swapaxes(1, 2)


def ramp(height, width):
    """Red is x, green is y, blue is white."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, 255)], axis=-1).astype(np.uint8)
