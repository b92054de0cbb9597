"""Whether the baselines do gridspot's work: exits with 1 where one of them does not.

    python bench/baselines/check.py build/release/gridspot [DEVICE]      # of the tensor code; default: cpu

* `dense_detection_loss` and `encode_targets_at_once`, which are timed, equal the plain ones, values and gradients, in double precision;
* the four ways of suppression keep the same boxes as a plain loop in NumPy;
* canvases of torch_canvases.py look like those of `gridspot data render`: means of glyphs and ink a canvas, sizes and places of
  boxes, but for chance and 1%;
* PyTorch's and ONNX Runtime's detections with a model of `gridspot train` are those of `gridspot detect` on the same images.
"""
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch

import torch_nms
from png_folder import parse_labels, read_image
from torch_canvases import PROTOCOLS, Composer, iou_corners, load_glyphs
from torch_twin import decode, dense_detection_loss, detection_loss, encode_targets, encode_targets_at_once, load_twin

failures = []
device = sys.argv[2] if len(sys.argv) > 2 else "cpu"


def check(name, holds, detail=""):
    print(f"{'passed' if holds else 'FAILED'}  {name}{'  ' + detail if detail else ''}", flush=True)
    if not holds:
        failures.append(name)


def check_targets():
    torch.manual_seed(7)
    boxes = torch.rand(200, 12, 4)
    boxes[:, 6:] = boxes[:, :6]  # equal sizes in one cell
    boxes[0, 0, :2] = torch.tensor([1.0, 0.0])
    labels = torch.randint(-1, 10, (200, 12))
    boxes[labels < 0] = torch.nan
    plain = encode_targets(boxes.double(), labels, 5)
    at_once = encode_targets_at_once(boxes.double().to(device), labels.to(device), 5).cpu()
    check("encode_targets_at_once", torch.equal(plain, at_once), f"{int((plain >= 0).sum())} cells")


def check_loss():
    torch.manual_seed(8)
    worst = 0.0
    for predictors, coding, kind, box_loss in itertools.product((1, 3), ("linear", "exponential"), ("cross_entropy", "mse", "bce"),
                                                                ("diou", "mse")):
        detector = {"cells": 6, "predictors": predictors, "classes": 4, "size_coding": coding, "prior_width": 0.2, "prior_height": 0.3,
                    "class_loss": kind}
        settings = {"objectness_weight": 1.5, "no_object_weight": 0.5, "box_weight": 5.0, "class_weight": 2.0, "box_loss": box_loss}
        boxes, labels = 0.1 + 0.8 * torch.rand(9, 5, 4, dtype=torch.double), torch.randint(-1, 4, (9, 5))
        owner = encode_targets_at_once(boxes, labels, 6)
        results = []
        start = torch.randn(9, 6, 6, predictors * 5 + 4, dtype=torch.double)
        start[0, 0, 0, 3:5] = 0.0  # an empty box where nothing may be
        for loss in (detection_loss, dense_detection_loss):
            predictions = start.clone().requires_grad_()
            value, _ = loss(predictions, owner, boxes, labels, detector, settings)
            value.backward()
            results.append((value.detach(), predictions.grad))
        (plain, plain_slopes), (dense, dense_slopes) = results
        worst = max(worst, float((plain - dense).abs() / plain.abs()), float((plain_slopes - dense_slopes).abs().max()))
    check("dense_detection_loss", worst < 1e-6, f"largest difference {worst:.1e}")


def plain_nms(corners, scores, classes, threshold, iou_threshold):
    kept = set()
    for i in range(len(scores)):
        order = [s for s in numpy.argsort(-scores[i].numpy(), kind="stable") if scores[i, s] >= threshold]
        chosen = []
        for slot in order:
            if all(classes[i, slot] != classes[i, other] or iou_corners(corners[i, slot], corners[i, other]) <= iou_threshold
                   for other in chosen):
                chosen.append(slot)
        kept |= {(i, int(slot)) for slot in chosen}
    return kept


def check_suppression():
    boxes, scores, classes = (torch.from_numpy(a[:40]) for a in torch_nms.made_up_boxes())
    expected = plain_nms(torch_nms.corners_of(boxes), scores, classes % 2, 1e-9, 0.3)
    boxes, scores, classes = (t.to(device) for t in (boxes, scores, classes))
    arguments = torch_nms.corners_of(boxes), scores, classes % 2, 1e-9, 0.3
    for name, way in torch_nms.ways().items():
        image, slot = way(*arguments, torch_nms.NMS_CLASSES)
        kept = set(zip(image.tolist(), slot.tolist()))
        check(f"suppression: {name}", kept == expected and len(kept) == len(image),
              f"{int((scores > 0).sum())} candidates, {len(kept)} kept")
    nothing = torch.zeros_like(scores)
    for name, way in torch_nms.ways().items():
        check(f"suppression of nothing: {name}", len(way(arguments[0], nothing, *arguments[2:], torch_nms.NMS_CLASSES)[0]) == 0)


def measures(canvases, boxes, labels):
    """Each a sample, of canvases or of glyphs."""
    held = labels >= 0
    box = boxes[held]
    return {"glyphs": held.sum(-1), "ink": canvases.mean((1, 2, 3) if canvases.dim() == 4 else (1, 2)), "width": box[:, 2],
            "height": box[:, 3], "squared width": box[:, 2] ** 2, "distance from the middle": (box[:, :2] - 0.5).abs().sum(-1)}


def apart(a, b):
    """Of the means, in shares of what chance (4 standard errors) and different interpolation (1%) may make of it."""
    a, b = a.double(), b.double()
    return float((a.mean() - b.mean()).abs() / (4 * (a.var() / len(a) + b.var() / len(b)).sqrt() + 0.01 * b.mean()))


def check_canvases(gridspot, folder, count=1000):
    torch.manual_seed(9)
    glyphs = load_glyphs()
    for name, protocol in PROTOCOLS.items():
        subprocess.run([gridspot, "data", "render", "--protocol", name, "--count", str(count), "--out", str(folder / name), "--data",
                        str(pathlib.Path(glyphs[2]))], check=True, capture_output=True)
        images = sorted((folder / name / "images").glob("*.png"))
        labels = [parse_labels(folder / name / "labels" / f"{path.stem}.txt", protocol.max_glyphs) for path in images]
        canvases = torch.from_numpy(numpy.stack([read_image(path) for path in images])).float() / 255
        wanted = measures(canvases, torch.stack([b for b, _ in labels]), torch.stack([ids for _, ids in labels]))
        for compact in (True, False):
            composer = Composer(name, glyphs, device, tries=64 if protocol.placing == "limited" else 16, compact=compact)
            parts = [composer.compose(count) for _ in range(2)]
            found = measures(*(torch.cat(tensors).cpu() for tensors in zip(*parts)))
            worst = max(wanted, key=lambda key: apart(found[key], wanted[key]))
            check(f"canvases of {name}{'' if compact else ', every slot'}", apart(found[worst], wanted[worst]) < 1,
                  f"most apart: {worst} {found[worst].double().mean():.4f}, in gridspot's {wanted[worst].double().mean():.4f}")


def check_detections(gridspot, folder):
    from onnx_detect import OnnxDetector
    run = folder / "run"
    subprocess.run([gridspot, "train", "--preset", "quick", "--steps", "120", "--out", str(run), "--set", "evaluation.count=0", "--set",
                    "validation.every_epochs=0", "--device", "cpu"], check=True, capture_output=True)
    model = run / "model.safetensors"
    images = sorted((folder / "quick-64" / "images").glob("*.png"))[:50]
    threshold, iou_threshold = 0.1, 0.45
    ours = json.loads(subprocess.run([gridspot, "detect", str(model), *map(str, images), "--threshold", str(threshold), "--nms",
                                      str(iou_threshold), "--device", "cpu", "--json"], check=True, capture_output=True).stdout)
    expected = []
    for image in ours["images"]:
        expected.append(sorted(image["detections"], key=lambda d: -d["score"]))
    spec = json.loads(subprocess.run([gridspot, "info", str(model), "--json"], check=True, capture_output=True).stdout)["network"]
    twin = load_twin(model, spec)
    canvases = torch.from_numpy(numpy.stack([read_image(path) for path in images])).float()[:, None] / 255
    side = canvases.shape[-1]
    with torch.inference_mode():
        corners, scores, classes = decode(twin(canvases), spec["detector"])
        found = {"PyTorch": (corners, scores, classes, *torch_nms.dense(corners, scores, classes, threshold, iou_threshold, 10))}
    onnx = OnnxDetector(twin, spec, len(images), threads=1)
    corners, scores, classes = (torch.from_numpy(a) for a in onnx.forward(canvases.numpy()))
    image, slot = (torch.from_numpy(a) for a in onnx.suppress(corners.numpy(), scores.numpy(), classes.numpy(), threshold, iou_threshold))
    found["ONNX Runtime"] = (corners, scores, classes, image, slot)
    for name, (corners, scores, classes, image, slot) in found.items():
        worst, same = 0.0, len(slot) == sum(map(len, expected))
        for i, detections in enumerate(expected):
            slots = slot[image == i]
            slots = slots[scores[i, slots].argsort(descending=True)]
            same &= len(slots) == len(detections) and all(int(classes[i, s]) == d["class_id"] for s, d in zip(slots, detections))
            for s, d in zip(slots, detections):
                left, top, width, height = d["box"]
                box = torch.tensor([left, top, left + width, top + height]) / side
                worst = max(worst, float((corners[i, s].clamp(0, 1) - box.clamp(0, 1)).abs().max()),
                            abs(float(scores[i, s]) - d["score"]))
        check(f"detections of {name}", same and worst < 1e-4, f"{len(slot)} boxes, largest difference {worst:.1e}")


def main():
    gridspot = sys.argv[1]
    check_targets()
    check_loss()
    check_suppression()
    with tempfile.TemporaryDirectory() as name:
        check_canvases(gridspot, pathlib.Path(name))
        check_detections(gridspot, pathlib.Path(name))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
