"""The built-in benchmark as training data: scenes drawn when they are asked for."""

from collections.abc import Mapping

import numpy as np

from shared.data.masks import MASK, mask_of
from shared.data.source import Raw
from shared.errors import UserError
from shared.scenes import dataset
from shared.scenes.generator import generate
from shared.skeleton import COCO17


class Builtin:
    """One sample per scene of a split; see `shared.data.source.Source`."""

    skeleton = COCO17

    def __init__(self, split: str = "train", count: int | None = None, seed: int = 0) -> None:
        if split not in dataset.SPLITS:
            raise UserError(f"split {split}: the built-in benchmark has {', '.join(dataset.SPLITS)}; choose one")
        self.split = split
        self.seed = seed
        self.count = dataset.SPLITS[split] if count is None else count
        if not 1 <= self.count <= dataset.SPLITS[split]:
            raise UserError(f"{self.count} scenes: {split} has {dataset.SPLITS[split]}; choose 1 to that many")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Raw:
        scene = generate(self.split, index, self.seed)
        people = [a for a in scene.annotations if not a["iscrowd"] and a["num_keypoints"]]
        points = np.array([a["keypoints"] for a in people], np.float32).reshape(-1, 17, 3)
        boxes = np.array([a["bbox"] for a in people], np.float32).reshape(-1, 4)
        mask = mask_of(scene.annotations, scene.image.shape[:2], MASK["paper"])
        return Raw(scene.image, points, boxes, mask, False, f"scene {index} of {self.split}")

    def identity(self) -> Mapping[str, object]:
        return {"name": "builtin", "version": dataset.VERSION, "split": self.split, "seed": self.seed}
