"""The networks in Keras 3, written with `keras.ops` and `keras.layers` only."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from keras_impl.net import load as load
