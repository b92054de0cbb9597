"""Records one training step (every gradient) and ten losses of a small detector, computed by PyTorch in double precision.

    python tests/golden/make_step_golden.py     writes tests/golden/step.json

Inputs and first weights are short formulas that the test repeats, so that the file holds results only.
"""
import json
import math
import pathlib
import sys

import torch

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "bench" / "baselines"))
from torch_twin import Twin, detection_loss, encode_targets  # noqa: E402

COMMON = {"input": {"height": 16, "width": 16, "channels": 1, "mean": 0, "deviation": 1}}
BACKBONE = [{"type": "conv", "filters": 6, "size": 3}, {"type": "max_pool"},
            {"type": "conv", "filters": 8, "size": 3, "stride": 2, "activation": "leaky"}]
CASES = [
    {"name": "conv-diou", "network": {
        **COMMON, "name": "conv-diou", "backbone": BACKBONE,
        "head": [{"type": "conv", "filters": 13, "size": 1, "activation": "none"}],
        "detector": {"cells": 4, "predictors": 2, "classes": 3, "size_coding": "exponential", "prior_width": 0.3,
                     "prior_height": 0.25, "class_loss": "cross_entropy"}},
     "loss": {"objectness_weight": 1.0, "no_object_weight": 0.5, "box_weight": 2.0, "class_weight": 1.0,
              "box_loss": "diou"}},
    {"name": "connected-mse", "network": {
        **COMMON, "name": "connected-mse", "backbone": BACKBONE,
        "head": [{"type": "average_pool", "height": 3, "width": 3}, {"type": "fully_connected", "outputs": 10},
                 {"type": "fully_connected", "outputs": 2 * 2 * 8, "activation": "none"}],
        "detector": {"cells": 2, "predictors": 1, "classes": 3, "size_coding": "linear", "prior_width": 0.15,
                     "prior_height": 0.15, "class_loss": "mse"}},
     "loss": {"objectness_weight": 1.0, "no_object_weight": 1.0, "box_weight": 5.0, "class_weight": 1.0,
              "box_loss": "mse"}},
]
BATCH, OBJECTS, STEPS = 4, 3, 10


def wave(index, scale):
    return scale * math.sin(0.7 * index + 0.3 * math.cos(1.3 * index))


def inputs(network):
    size = network["input"]["height"] * network["input"]["width"]
    canvas = torch.tensor([abs(wave(i, 1.0)) for i in range(BATCH * size)], dtype=torch.double)
    boxes, labels = torch.zeros(BATCH, OBJECTS, 4, dtype=torch.double), torch.full((BATCH, OBJECTS), -1)
    for image in range(BATCH):
        for k in range(min(image, OBJECTS)):  # the first canvas is empty
            t = image * OBJECTS + k
            boxes[image, k] = torch.tensor([0.5 + wave(t, 0.4), 0.5 + wave(t + 50, 0.4), 0.25 + wave(t + 90, 0.1),
                                            0.25 + wave(t + 70, 0.1)], dtype=torch.double)
            labels[image, k] = t % 3
    side = network["input"]["height"]
    return canvas.reshape(BATCH, 1, side, side), boxes.float().double(), labels


def main():
    results = []
    for case in CASES:
        model = Twin(case["network"]).double()
        for p, (name, tensor) in enumerate(sorted(model.named().items())):
            scale = 0.5 if name.endswith("weight") else 0.05
            with torch.no_grad():
                tensor.copy_(torch.tensor([wave(i + 1000 * p, scale) for i in range(tensor.numel())],
                                          dtype=torch.double).float().double().reshape(tensor.shape))
        canvas, boxes, labels = inputs(case["network"])
        canvas = canvas.float().double()
        owner = encode_targets(boxes, labels, case["network"]["detector"]["cells"])
        decays = [p for name, p in model.named().items() if name.endswith("weight")]
        rest = [p for name, p in model.named().items() if name.endswith("bias")]
        optimizer = torch.optim.AdamW([{"params": decays, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0}],
                                      lr=0.01)
        losses, gradients = [], {}
        for step in range(STEPS):
            optimizer.zero_grad()
            loss, terms = detection_loss(model(canvas), owner, boxes, labels, case["network"]["detector"], case["loss"])
            loss.backward()
            if step == 0:
                first_terms = [t.item() for t in terms]
                gradients = {name: p.grad.flatten().tolist() for name, p in model.named().items()}
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        results.append({**case, "terms": first_terms, "losses": losses, "gradients": gradients})
        print(case["name"], losses)
    origin = f"tests/golden/make_step_golden.py, PyTorch {torch.__version__.split('+')[0]}, double precision"
    (HERE / "step.json").write_text(json.dumps({"origin": origin, "cases": results}))


if __name__ == "__main__":
    main()
