#!/usr/bin/env python3
"""Average precision of random and edge sets, computed with pycocotools, as numbers for tests/eval/golden_test.cpp.

Usage: python3 tests/golden/make_ap_golden.py        (needs numpy and pycocotools; writes tests/golden/ap.json)
"""
import contextlib
import importlib.metadata
import io
import json
import pathlib

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def silence():
    return contextlib.redirect_stdout(io.StringIO())


def pixels(box, size):
    """The rule of src/eval/matching.h: float32 coordinates, double precision from there on."""
    cx, cy, w, h = (float(np.float32(value)) for value in box)
    return [(cx - w / 2) * size[0], (cy - h / 2) * size[1], w * size[0], h * size[1]]


def coco_of(images, classes, annotations):
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i + 1, "width": size[0], "height": size[1]} for i, size in enumerate(images)],
        "categories": [{"id": c + 1, "name": str(c)} for c in range(classes)],
        "annotations": annotations,
    }
    with silence():
        coco.createIndex()
    return coco


def annotation(index, images, image, class_id, box, **more):
    x, y, w, h = pixels(box, images[image])
    return dict(id=index + 1, image_id=image + 1, category_id=class_id + 1, bbox=[x, y, w, h], area=w * h, iscrowd=0, **more)


def mean(precision):
    precision = precision[precision > -1]
    return float(np.mean(precision)) if precision.size else -1.0


def evaluated(name, images, classes, objects, detections):
    truth = coco_of(images, classes, [annotation(i, images, o[0], o[1], o[2:]) for i, o in enumerate(objects)])
    found = coco_of(images, classes, [annotation(i, images, d[0], d[1], d[3:], score=float(np.float32(d[2])))
                                      for i, d in enumerate(detections)])
    evaluation = COCOeval(truth, found, "bbox")
    with silence():
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # [IoU threshold, recall, class]; all areas, maxDets 100
    return {
        "name": name, "images": images, "classes": classes, "objects": objects, "detections": detections,
        "mAP50": mean(precision[0]), "mAP50_95": mean(precision),
        "per_class": [[mean(precision[0, :, c]), mean(precision[:, :, c])] for c in range(classes)],
    }


def rounded(values):
    return [round(float(value), 4) for value in values]


def random_box(random, low=0.05, high=0.4):
    return rounded([*random.uniform(0.1, 0.9, 2), *random.uniform(low, high, 2)])


def random_set(seed):
    """Objects, and detections that are moved objects, duplicates, wrong classes and noise."""
    random = np.random.default_rng(seed)
    images = [[int(random.integers(32, 400)), int(random.integers(32, 400))] for _ in range(random.integers(1, 6))]
    classes = int(random.integers(1, 5))
    coarse_scores = seed % 3 == 0  # many equal scores
    objects, detections = [], []
    for image in range(len(images)):
        for _ in range(random.integers(0, 7)):
            class_id, box = int(random.integers(classes)), random_box(random)
            objects.append([image, class_id, *box])
            for _ in range(random.choice([0, 1, 1, 1, 2, 3])):
                moved = np.array(box) + random.normal(0, random.choice([0.002, 0.02, 0.06]), 4)
                moved[2:] = np.maximum(moved[2:], 0.001)
                found = class_id if random.random() < 0.85 else int(random.integers(classes))
                detections.append([image, found, random.random(), *rounded(moved)])
        for _ in range(random.integers(0, 4)):
            detections.append([image, int(random.integers(classes)), random.random(), *random_box(random)])
    random.shuffle(detections)
    detections = [[int(d[0]), int(d[1]), round(float(d[2]), 1 if coarse_scores else 4), *rounded(d[3:])] for d in detections]
    return evaluated(f"random {seed}", images, classes, objects, detections)


def edge_sets():
    random = np.random.default_rng(1000)
    square = [[100, 100]]
    a, b, c = [0.25, 0.25, 0.2, 0.2], [0.75, 0.25, 0.2, 0.2], [0.5, 0.75, 0.3, 0.2]
    objects = [[0, 0, *a], [0, 0, *b], [0, 1, *c]]
    perfect = [[0, 0, 0.9, *a], [0, 0, 0.8, *b], [0, 1, 0.7, *c]]
    yield "no detections", square, 2, objects, []
    yield "no ground truth", square, 2, [], perfect
    yield "nothing at all", square, 2, [], []
    yield "perfect", square, 2, objects, perfect
    yield "all of the wrong class", square, 2, objects, [[0, 1 - d[1], *d[2:]] for d in perfect]
    yield "duplicates before and after", square, 2, objects, [[0, 0, 0.95, *a], *perfect, [0, 0, 0.5, *a], [0, 1, 0.7, *c]]
    yield "a class without objects", square, 3, objects, [*perfect, [0, 2, 0.99, *a]]
    yield "a class without detections", square, 2, objects, perfect[:2]
    yield "an image without objects", [[100, 100], [50, 80]], 2, objects, [*perfect, [1, 0, 0.85, *a], [1, 1, 0.1, *b]]
    yield "equal scores", square, 2, objects, [[0, 0, 0.5, *c], *[[0, d[1], 0.5, *d[3:]] for d in perfect], [0, 1, 0.5, *a]]
    yield "equal scores across images", [[100, 100]] * 3, 1, [[i, 0, *a] for i in range(3)], [
        [2, 0, 0.5, *b], [1, 0, 0.5, *a], [0, 0, 0.5, *a], [2, 0, 0.5, *a], [0, 0, 0.5, *b]]
    yield "equal overlaps", square, 1, [[0, 0, *a], [0, 0, *a], [0, 0, *b]], [[0, 0, 0.9, *a], [0, 0, 0.8, *a], [0, 0, 0.7, *a]]
    yield "two objects at equal distance", square, 1, [[0, 0, 0.48, 0.5, 0.2, 0.2], [0, 0, 0.52, 0.5, 0.2, 0.2]], [
        [0, 0, 0.9, 0.5, 0.5, 0.2, 0.2], [0, 0, 0.8, 0.47, 0.5, 0.2, 0.2]]
    yield "no area", square, 1, [[0, 0, 0.5, 0.5, 0.0, 0.2], [0, 0, *a]], [
        [0, 0, 0.9, 0.5, 0.5, 0.0, 0.2], [0, 0, 0.8, *a], [0, 0, 0.7, 0.25, 0.25, 0.0, 0.0]]
    yield "negative and huge sizes", square, 1, [[0, 0, *a]], [
        [0, 0, 0.9, 0.25, 0.25, -0.2, 0.2], [0, 0, 0.85, 0.25, 0.25, -0.2, -0.2], [0, 0, 0.8, 0.25, 0.25, 2000.0, 2000.0],
        [0, 0, 0.7, *a]]
    yield "negative scores", square, 2, objects, [[*d[:2], round(d[2] - 1, 4), *d[3:]] for d in perfect] + [[0, 0, -0.0, *c]]
    yield "tiny boxes", [[64, 64]], 1, [[0, 0, 0.3, 0.3, 0.0004, 0.0004], [0, 0, 0.6, 0.6, 0.0001, 0.01]], [
        [0, 0, 0.9, 0.3001, 0.3, 0.0004, 0.0004], [0, 0, 0.8, 0.6, 0.6, 0.0001, 0.0099], [0, 0, 0.7, 0.3, 0.3, 0.0003, 0.0004]]
    yield "overlap at the thresholds", [[100, 100]], 1, [[0, 0, 0.5, round(0.05 + 0.1 * i, 4), 0.5, 0.05] for i in range(10)], [
        [0, 0, round(0.9 - 0.01 * i, 4), 0.5, round(0.05 + 0.1 * i, 4), round(0.5 * (0.5 + 0.05 * i), 4), 0.05] for i in range(10)]
    yield "boxes beyond the canvas", square, 1, [[0, 0, 0.02, 0.5, 0.2, 0.2]], [[0, 0, 0.9, 0.0, 0.5, 0.2, 0.2]]
    crowd = [[0, int(k % 2), *random_box(random, 0.1, 0.2)] for k in range(8)]
    many = []
    for k in range(260):  # of one image: 130 for each class, of which 100 count; the good ones score low
        source = crowd[k % 8]
        moved = np.array(source[2:]) + random.normal(0, 0.01 if k >= 180 else 0.1, 4)
        many.append([0, source[1], round(1 - k / 300, 4), *rounded(np.maximum(moved, 0.01))])
    yield "more than 100 detections of an image", square, 2, crowd, many


def main():
    sets = [evaluated(*edge) for edge in edge_sets()] + [random_set(seed) for seed in range(60)]
    origin = {
        "command": "python3 tests/golden/make_ap_golden.py",
        "pycocotools": importlib.metadata.version("pycocotools"),
        "numpy": np.__version__,
        "layout": "objects: image, class, cx, cy, w, h; detections: image, class, score, cx, cy, w, h; "
                  "per_class: AP50, AP50_95; -1: no such measure",
    }
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in sets)
    target = pathlib.Path(__file__).with_name("ap.json")
    target.write_text('{"origin":' + json.dumps(origin) + ',\n"sets":[\n' + lines + "\n]}\n")
    print(f"{target.name}: {len(sets)} sets, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
