"""PoseResNet ("Simple Baselines"): a ResNet, then three enlargements."""

from typing import Any

from keras_impl.residual import TopDown, pool, run_blocks, run_units
from shared.arch.pose_resnet import PoseResnetSpec


class PoseResnet(TopDown):
    """See `TopDown`."""

    @staticmethod
    def heat(spec: PoseResnetSpec, images: Any) -> Any:
        x = pool(run_units(spec.stem(), images))
        x = run_blocks(spec.blocks(), x)
        return run_units(spec.head(), x)
