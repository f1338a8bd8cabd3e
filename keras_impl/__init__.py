"""The networks in Keras 3, written with `keras.ops` and `keras.layers` only."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextmanager
def _without_greetings() -> Iterator[None]:
    """TensorFlow greets on the file descriptor of stderr when it is imported, whatever its log level."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _without_greetings():
    import keras as keras

from keras_impl.net import load as load  # noqa: E402
