"""The processes and devices that train together: tf.distribute's strategies, chosen by what is there."""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from shared.errors import UserError
from shared.loader import Share


class Ranks:
    """This process among those that TF_CONFIG lists, with all of its GPUs; alone, on one device, without.

    Several processes: MultiWorkerMirroredStrategy.  One process with several GPUs: MirroredStrategy.
    """

    def __init__(self, device: str = "cpu") -> None:
        if keras.backend.backend() != "tensorflow":
            raise UserError(f"training runs on Keras's TensorFlow backend; KERAS_BACKEND is {keras.backend.backend()}")
        gpus = tf.config.list_physical_devices("GPU")
        if device.split(":")[0] == "cuda" and not gpus:
            raise UserError(f"--device {device}: TensorFlow sees no GPU here; use --device cpu")
        if device == "cpu" and gpus:
            tf.config.set_visible_devices([], "GPU")
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}"))
        self.size = len(cluster.get("cluster", {}).get("worker", [0]))
        self.rank = int(cluster.get("task", {}).get("index", 0))
        if self.size > 1:
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        elif device != "cpu" and len(gpus) > 1:
            self.strategy = tf.distribute.MirroredStrategy()
        else:
            self.strategy = tf.distribute.get_strategy()

    @property
    def share(self) -> Share:
        """What this process takes of every batch."""
        return Share(self.rank, self.size)

    @property
    def replicas(self) -> int:
        """Copies of the network, in all processes together."""
        return int(self.strategy.num_replicas_in_sync)

    def together(self, network: keras.Model) -> keras.Model:
        """The network with its norms over the samples of all replicas."""
        if self.replicas > 1:
            for layer in network.layers:
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True
        return network

    def split(self, arrays: Sequence[Any]) -> list[Any]:
        """Arrays of this process's samples, cut into equal pieces for its replicas."""
        here = self.replicas // self.size
        if here == 1:
            return [tf.convert_to_tensor(array) for array in arrays]

        def piece(array: Any) -> Callable[[Any], Any]:
            n = len(array) // here
            first = self.rank * here
            return lambda context: array[(context.replica_id_in_sync_group - first) * n :][:n]

        return [self.strategy.experimental_distribute_values_from_function(piece(array)) for array in arrays]

    def run(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """`function` on every replica with its piece of the arguments; the mean of what they return."""
        found = self.strategy.run(function, args=tuple(arguments))
        return tf.nest.map_structure(lambda value: self.strategy.reduce("MEAN", value, axis=None), found)

    def average(self, value: float) -> float:
        """The mean of a number over all processes."""
        return float(self.run(lambda x: x, [tf.constant(value, tf.float64)])) if self.size > 1 else value

    def wait(self) -> None:
        """Return when every process has come here."""
        self.average(0.0)

    def leave(self) -> None:
        """The last thing that a process does with the others."""
        self.wait()
