"""The part of caffe.proto that weights and deploy networks need; field numbers are those of BVLC Caffe 1.0.

Strings are declared as bytes, so that a damaged name is ours to report, and packed numbers too: the wire image is
the same, and NumPy reads a 209 MB file from it without touching each number.  `Numbers` is BlobProto again with its
numbers as protobuf declares them, for the rare file that writes a tag before each.
"""

import functools
from typing import Any

from converters.schema import classes

_MESSAGES = {
    "BlobShape": ("packed int64 dim = 1",),
    "BlobProto": (
        "one int32 num = 1", "one int32 channels = 2", "one int32 height = 3", "one int32 width = 4",
        "many bytes data = 5", "one BlobShape shape = 7", "many bytes double_data = 8",
    ),
    "Numbers": ("packed float data = 5", "packed double double_data = 8"),
    "ConvolutionParameter": ("one uint32 num_output = 1", "many uint32 pad = 3", "many uint32 kernel_size = 4"),
    "PoolingParameter": ("one int32 pool = 1", "one uint32 kernel_size = 2", "one uint32 stride = 3"),
    "ConcatParameter": ("one int32 axis = 2",),
    "LayerParameter": (
        "one bytes name = 1", "one bytes type = 2", "many bytes bottom = 3", "many bytes top = 4",
        "many BlobProto blobs = 7", "one ConcatParameter concat_param = 104",
        "one ConvolutionParameter convolution_param = 106", "one PoolingParameter pooling_param = 121",
    ),
    "V1LayerParameter": ("one bytes name = 4", "many BlobProto blobs = 6"),
    "NetParameter": (
        "one bytes name = 1", "many V1LayerParameter layers = 2", "many bytes input = 3", "many int32 input_dim = 4",
        "many LayerParameter layer = 100",
    ),
}  # fmt: skip


@functools.cache
def messages() -> dict[str, Any]:
    """Message name -> protobuf class."""
    return classes("pose_caffe", _MESSAGES)
