"""Small annotation files for the tests of training data."""

import json

import cv2
import numpy as np

KEYPOINTS = [float(v) for k in range(17) for v in (10 + k, 20 + 2 * k, 2)]
GOOD = {
    "info": {"description": "a test"},
    "images": [
        {"id": 7, "file_name": "b.png", "height": 40, "width": 60},
        {"id": 3, "file_name": "deeper/a.png", "height": 50, "width": 70},
    ],
    "annotations": [
        {
            "id": identity, "image_id": image_id, "category_id": 1, "keypoints": KEYPOINTS, "num_keypoints": 17,
            "bbox": [10, 20.07, 17, 34], "area": 300.5, "iscrowd": int(identity == 12), "segmentation": segment,
        }
        for identity, image_id, segment in (
            (11, 7, [[1.13, 2, 3, 4, 5, 600.29], [1, 2, 3, 4]]),
            (14, 3, None),
            (12, 7, {"size": [40, 60], "counts": [100, 50, 2250]}),
            (13, 7, []),
        )
    ],
    "categories": [{"id": 1, "name": "person"}],
}  # fmt: skip


def index_file(where, raw):
    """A file with these annotations, or with this text."""
    path = where / "annotations.json"
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw))
    return path


def check_good(found):
    assert found.image_ids.tolist() == [7, 3]
    assert found.file_names.tolist() == ["b.png", "deeper/a.png"]
    assert found.sizes.tolist() == [[40, 60], [50, 70]]
    assert found.ids.tolist() == [11, 14, 12, 13]
    assert [found.rows(image).tolist() for image in (0, 1)] == [[0, 2, 3], [1]]
    assert found.crowd.tolist() == [False, False, True, False]
    assert found.boxes[2].tolist() == [10, 20.07, 17, 34]
    assert (found.areas == 300.5).all()
    np.testing.assert_array_equal(found.keypoints[3], np.reshape(KEYPOINTS, (17, 3)))
    polygons = found.segment(0)
    assert [polygon.tolist() for polygon in polygons] == [[[1.13, 2], [3, 4], [5, 600.29]], [[1, 2], [3, 4]]]
    assert found.segment(1) == found.segment(3) == []
    assert found.segment(2).tolist() == [100, 50, 2250]


def person(image_id, x=30.0, y=40.0, width=40.0, height=60.0, n_keypoints=17, **values):
    keypoints = np.zeros((17, 3))
    keypoints[:n_keypoints] = np.column_stack([np.full(17, x), np.full(17, y), np.full(17, 2)])[:n_keypoints]
    box = [x - width / 2, y - height / 2, width, height]
    corners = [box[0], box[1], box[0] + width, box[1], box[0] + width, box[1] + height, box[0], box[1] + height]
    return {
        "image_id": image_id, "category_id": 1, "keypoints": keypoints.ravel().tolist(), "num_keypoints": n_keypoints,
        "bbox": box, "area": width * height, "iscrowd": 0, "segmentation": [corners], **values,
    }  # fmt: skip


def crowd(image_id, first, size=(80, 100)):
    """A crowd region: 50 pixels of the first columns."""
    counts = [first, 50, size[0] * size[1] - first - 50]
    segment = {"size": list(size), "counts": counts}
    return person(image_id, n_keypoints=0) | {"iscrowd": 1, "segmentation": segment}


def written(where, people, sizes=None, name="annotations.json", folder="images", pattern="{:03d}.png"):
    """Annotations and grey images, 100 px wide and 80 high unless `sizes` says otherwise (id -> height, width)."""
    sizes = sizes or {entry["image_id"]: (80, 100) for entry in people}
    images = [
        {"id": identity, "file_name": pattern.format(identity), "height": height, "width": width}
        for identity, (height, width) in sizes.items()
    ]
    (where / folder).mkdir(parents=True, exist_ok=True)
    for image in images:
        cv2.imwrite(
            str(where / folder / image["file_name"]), np.full((image["height"], image["width"]), image["id"], np.uint8)
        )
    annotations = [{**entry, "id": number} for number, entry in enumerate(people, start=1)]
    path = where / name
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    path.write_text(json.dumps(raw))
    return path, where / folder
