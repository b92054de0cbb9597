"""Writes network.json: outputs and gradients of two small networks, computed by PyTorch in double precision.

Weights are a formula of their index in PyTorch's order, so that the layout conversion is part of what is checked.
Run: python make_network_golden.py (PyTorch 2.15.0 wrote the file in the repository).
"""
import json
import math
import pathlib

import torch
from torch import nn

torch.set_default_dtype(torch.float64)


def wave(index, scale):
    return scale * math.sin(0.7 * index + 0.3 * math.cos(1.3 * index))


def fill(shape, offset, scale):
    count = math.prod(shape)
    # Through float32, as the program holds them.
    values = torch.tensor([wave(i + offset, scale) for i in range(count)], dtype=torch.float32)
    return values.double().reshape(shape)


def conv(i, o, size, stride=1):
    return nn.Conv2d(i, o, size, stride, size // 2)


DETECTOR = {"cells": 2, "predictors": 1, "classes": 3}
NETWORKS = {
    "convolutional": (
        {"name": "convolutional", "input": {"height": 9, "width": 8, "channels": 2},
         "backbone": [{"type": "conv", "filters": 8, "size": 3},
                      {"type": "max_pool", "size": 3, "stride": 2},
                      {"type": "conv", "filters": 5, "size": 3, "stride": 2, "activation": "leaky"}],
         "head": [{"type": "conv", "filters": 8, "size": 1, "activation": "none"}], "detector": DETECTOR},
        nn.Sequential(conv(2, 8, 3), nn.ReLU(), nn.MaxPool2d(3, 2), conv(8, 5, 3, 2), nn.LeakyReLU(0.1),
                      conv(5, 8, 1))),
    "fully_connected": (
        {"name": "fully_connected", "input": {"height": 7, "width": 6, "channels": 1},
         "backbone": [{"type": "conv", "filters": 8, "size": 3, "activation": "leaky"},
                      {"type": "average_pool", "height": 3, "width": 2}],
         "head": [{"type": "fully_connected", "outputs": 6},
                  {"type": "fully_connected", "outputs": 32, "activation": "none"}], "detector": DETECTOR},
        nn.Sequential(conv(1, 8, 3), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten(), nn.Linear(48, 6),
                      nn.ReLU(), nn.Linear(6, 32))),
}


def run(spec, model):
    for index, parameter in enumerate(model.parameters()):
        parameter.data = fill(parameter.shape, 1000 * index, 0.4)
    shape = spec["input"]
    height, width, channels = shape["height"], shape["width"], shape["channels"]
    # The program's images are channels-last.
    image = fill((2, height, width, channels), 77, 1.0).permute(0, 3, 1, 2)
    output = model(image)
    if output.dim() == 4:
        output = output.permute(0, 2, 3, 1)
    output = output.reshape(-1)
    (output * fill(output.shape, 333, 1.0)).sum().backward()
    return {
        "spec": spec,
        "output": output.tolist(),
        "gradients": [parameter.grad.reshape(-1).tolist() for parameter in model.parameters()],
    }


results = {name: run(spec, model) for name, (spec, model) in NETWORKS.items()}
results["origin"] = "tests/golden/make_network_golden.py, PyTorch " + torch.__version__
path = pathlib.Path(__file__).with_name("network.json")
path.write_text(json.dumps(results, indent=1) + "\n")
