"""The built-in benchmark as training data: scenes drawn when they are asked for."""

from collections.abc import Mapping

import numpy as np

from shared.data.folder import Options
from shared.data.masks import MASK, mask_of
from shared.data.rules import MAIN_PERSON, main_people
from shared.data.source import Raw
from shared.errors import UserError
from shared.scenes import dataset
from shared.scenes.generator import generate
from shared.skeleton import COCO17

IMAGES = Options(samples="image")


class Builtin:
    """One sample per scene of a split; see `shared.data.source.Source`.

    With `options.samples` "person" it follows the first main person of the scene, where there is one.
    """

    skeleton = COCO17

    def __init__(
        self, split: str = "train", count: int | None = None, seed: int = 0, options: Options = IMAGES
    ) -> None:
        if split not in dataset.SPLITS:
            raise UserError(f"split {split}: the built-in benchmark has {', '.join(dataset.SPLITS)}; choose one")
        self.split = split
        self.seed = seed
        self.options = options
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
        main = self._main(people, boxes) if self.options.samples == "person" else None
        if main is not None:
            order = [main, *(p for p in range(len(people)) if p != main)]
            points, boxes = points[order], boxes[order]
        mask = mask_of(scene.annotations, scene.image.shape[:2], MASK[self.options.mask])
        return Raw(scene.image, points, boxes, mask, main is not None, f"scene {index} of {self.split}")

    def identity(self) -> Mapping[str, object]:
        rules = {"samples": self.options.samples, "main": self.options.main, "mask": self.options.mask}
        return {"name": "builtin", "version": dataset.VERSION, "split": self.split, "seed": self.seed, **rules}

    def _main(self, people: list[dict], boxes: np.ndarray) -> int | None:
        n_keypoints, areas = (np.array([a[key] for a in people]) for key in ("num_keypoints", "area"))
        crowd = np.zeros(len(people), bool)
        found = main_people(boxes, n_keypoints, areas, crowd, MAIN_PERSON[self.options.main])
        return found[0] if found else None
