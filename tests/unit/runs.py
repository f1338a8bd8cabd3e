"""Eight small pictures, a predictor made of numbers and runs of it, for the tests of evaluations that stop."""

import numpy as np

from eval import runner
from shared.coco import ImageRecord
from shared.person import Pose
from shared.skeleton import COCO17

IDENTITY = {"protocol": "ab" * 32, "weights": "cd" * 32, "runtime": "torch 2.13.0"}
N = 8


def records(n=N):
    return [ImageRecord(i, f"{i}.png", 20, 30) for i in range(1, n + 1)]


def read(record):
    return np.full((20, 30, 3), record.id, np.uint8)


def poses(image):
    """Poses that depend on the image alone; none in every fourth."""
    rng = np.random.default_rng(int(image[0, 0, 0]))
    return [
        Pose(rng.uniform(0.1, 30, (17, 3)).astype(np.float32), float(rng.uniform())) for _ in range(image[0, 0, 0] % 4)
    ]


class Predictor:
    """The three steps; the network (`forward`) is called with one image after the other, in this thread."""

    skeleton = COCO17

    def __init__(self, network=lambda image: image):
        self.network = network

    def prepare(self, image):
        return image

    def forward(self, images):
        return [self.network(image) for image in images]

    def finish(self, prepared, outputs):
        assert prepared is outputs
        return poses(outputs)


class StoppedError(Exception):
    pass


def stopping_after(n, network=lambda image: image):
    """A predictor whose network raises at its call number n + 1."""
    calls = iter(range(n))

    def stopping(image):
        if next(calls, None) is None:
            raise StoppedError
        return network(image)

    return Predictor(stopping)


def groups(n=N, size=1):
    """Images in groups of so many."""
    found = records(n)
    return [found[i : i + size] for i in range(0, n, size)]


def run(out, resume=False, predictor=Predictor(), identity=IDENTITY, read=read, groups=groups()):  # noqa: B008
    return runner.predict(groups, read, predictor, out, identity, resume)
