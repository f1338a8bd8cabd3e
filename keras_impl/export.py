"""The network as an ONNX graph."""

import warnings
from pathlib import Path

import keras

from shared.errors import UserError

OPSET = 18
INPUT = "image"


def export_onnx(network: keras.Model, path: Path) -> None:
    """Write one ONNX file: input "image" (N, H, W, 3) of any N, H, W; every stage under its layer name, NHWC.

    Keras does this through tf2onnx, on the TensorFlow backend; on the torch backend it fixes the size.
    The file has no description yet: `converters.to_onnx` adds it.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"ONNX export from Keras on the {keras.backend.backend()} backend would fix the image size; "
            "set KERAS_BACKEND=tensorflow, or export with PyTorch"
        )
    signature = [keras.InputSpec(shape=(None, None, None, 3), dtype="float32", name=INPUT)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's patch of tf2onnx asks for np.object
        network.export(path, format="onnx", verbose=False, input_signature=signature, opset_version=OPSET)
