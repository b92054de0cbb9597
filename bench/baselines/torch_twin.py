"""The same network and the same loss in PyTorch, for baselines and recorded numbers.

`Twin` builds what src/nn/network.cpp builds from the same JSON (`gridspot info MODEL --json` prints it, src/nn/presets/ holds the
presets); its parameter names and layouts are those of gridspot's checkpoints. `detection_loss` is kernels/loss.h written with
PyTorch's own operations.
"""
import torch
import torch.nn.functional as F
from torch import nn

LEAKY_SLOPE = 0.1


class Layer(nn.Module):
    """One layer of the description: the operation and its activation."""

    def __init__(self, spec, inputs):
        super().__init__()
        kind = spec["type"]
        channels, height, width = inputs
        self.kind = kind
        self.activation = spec.get("activation", "relu") if kind in ("conv", "fully_connected") else "none"
        if kind == "conv":
            size, stride = spec.get("size", 3), spec.get("stride", 1)
            padding = spec.get("padding", size // 2)
            filters = spec["filters"]
            self.weight = nn.Parameter(torch.empty(filters, channels, size, size))
            self.bias = nn.Parameter(torch.zeros(filters))
            self.stride, self.padding = stride, padding
            self.outputs = (filters, (height + 2 * padding - size) // stride + 1,
                            (width + 2 * padding - size) // stride + 1)
        elif kind == "fully_connected":
            self.weight = nn.Parameter(torch.empty(spec["outputs"], channels * height * width))
            self.bias = nn.Parameter(torch.zeros(spec["outputs"]))
            self.outputs = (spec["outputs"], 1, 1)
        elif kind == "max_pool":
            self.size, self.stride = spec.get("size", 2), spec.get("stride", 2)
            self.outputs = (channels, (height - self.size) // self.stride + 1, (width - self.size) // self.stride + 1)
        elif kind == "average_pool":
            self.outputs = (channels, spec["height"], spec["width"])
        if hasattr(self, "weight"):
            nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x):
        if self.kind == "conv":
            x = F.conv2d(x, self.weight, self.bias, self.stride, self.padding)
        elif self.kind == "fully_connected":
            x = F.linear(x.flatten(1), self.weight, self.bias)[:, :, None, None]
        elif self.kind == "max_pool":
            x = F.max_pool2d(x, self.size, self.stride)
        else:
            x = F.adaptive_avg_pool2d(x, self.outputs[1:])
        if self.activation == "relu":
            return F.relu(x)
        if self.activation == "leaky":
            return F.leaky_relu(x, LEAKY_SLOPE)
        return x


class Twin(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.detector = spec["detector"]
        shape = (spec["input"].get("channels", 1), spec["input"]["height"], spec["input"]["width"])
        self.sections = nn.ModuleDict()
        names = {"conv": "conv", "fully_connected": "fc", "max_pool": "max_pool", "average_pool": "average_pool"}
        for section in ("backbone", "head"):
            layers, counts = nn.ModuleDict(), {}
            for layer_spec in spec[section]:
                name = names[layer_spec["type"]]
                counts[name] = counts.get(name, 0) + 1
                layer = Layer(layer_spec, shape)
                layers[f"{name}{counts[name]}"] = layer
                shape = layer.outputs
            self.sections[section] = layers

    def forward(self, x):
        """Canvases [n, 1, h, w] to predictions [n, S, S, channels]."""
        for section in self.sections.values():
            for layer in section.values():
                x = layer(x)
        cells = self.detector["cells"]
        if x.shape[2] == 1 and cells > 1:
            return x.reshape(x.shape[0], cells, cells, -1)
        return x.permute(0, 2, 3, 1)

    def named(self):
        """Parameters by the names that gridspot's checkpoints use."""
        return {name.removeprefix("sections."): p for name, p in self.named_parameters()}


def encode_targets(boxes, labels, cells):
    """boxes [n, k, 4], labels [n, k] (-1: empty). Returns the object of each cell, [n, S, S], -1 where there is none.

    The largest box keeps the cell, of equal boxes the first.
    """
    n, k = labels.shape
    owner = torch.full((n, cells, cells), -1, dtype=torch.long)
    for image in range(n):
        for index in range(k):
            if labels[image, index] < 0:
                continue
            cx, cy, w, h = boxes[image, index].tolist()
            column, row = min(cells - 1, int(cx * cells)), min(cells - 1, int(cy * cells))
            held = owner[image, row, column].item()
            if held < 0 or w * h > boxes[image, held, 2] * boxes[image, held, 3]:
                owner[image, row, column] = index
    return owner


def diou(a, b):
    """IoU - d^2/c^2 of boxes (cx, cy, w, h)."""
    a_low, a_high = a[..., :2] - a[..., 2:] / 2, a[..., :2] + a[..., 2:] / 2
    b_low, b_high = b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2
    overlap = (torch.minimum(a_high, b_high) - torch.maximum(a_low, b_low)).clamp(min=0)
    intersection = overlap[..., 0] * overlap[..., 1]
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - intersection
    diagonal = ((torch.maximum(a_high, b_high) - torch.minimum(a_low, b_low)) ** 2).sum(-1)
    return intersection / union - ((a[..., :2] - b[..., :2]) ** 2).sum(-1) / diagonal


def iou(a, b):
    overlap = (torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2) -
               torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)).clamp(min=0)
    intersection = overlap[..., 0] * overlap[..., 1]
    return intersection / (a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - intersection).clamp(min=1e-12)


def detection_loss(predictions, owner, boxes, labels, detector, settings):
    """The loss of kernels/loss.h: a scalar, and its three weighted terms."""
    n, cells = owner.shape[0], owner.shape[1]
    predictors, classes = detector.get("predictors", 1), detector["classes"]
    slots = predictions[..., : predictors * 5].reshape(n, cells, cells, predictors, 5)
    logits = predictions[..., predictors * 5:]
    image, row, column = torch.nonzero(owner >= 0, as_tuple=True)
    index = owner[image, row, column]
    target, label = boxes[image, index], labels[image, index].long()

    raw = slots[image, row, column]  # [objects, B, 5]
    corner = torch.stack([column, row], -1).to(predictions.dtype)[:, None]
    centre = (corner + torch.sigmoid(raw[..., 1:3])) / cells
    if detector.get("size_coding", "exponential") == "exponential":
        prior = torch.tensor([detector["prior_width"], detector["prior_height"]], dtype=predictions.dtype,
                             device=predictions.device)
        size = prior * torch.exp(raw[..., 3:5].clamp(-4, 4))
    else:
        size = raw[..., 3:5]
    decoded = torch.cat([centre, size], -1)
    best = iou(decoded, target[:, None]).argmax(-1)
    each = torch.arange(len(best), device=best.device)
    chosen = decoded[each, best]

    responsible = torch.zeros(n, cells, cells, predictors, dtype=predictions.dtype, device=predictions.device)
    responsible[image, row, column, best] = 1
    weight = torch.where(responsible > 0, settings["objectness_weight"], settings["no_object_weight"])
    objectness = (weight * F.binary_cross_entropy_with_logits(slots[..., 0], responsible, reduction="none")).sum()
    objectness = objectness / (cells * cells * predictors)

    if settings["box_loss"] == "mse":
        in_cell = torch.sigmoid(raw[each, best, 1:3])
        wanted = target[:, :2] * cells - corner[:, 0]
        box = torch.cat([in_cell - wanted, chosen[:, 2:] - target[:, 2:]], -1).pow(2).mean(-1).sum()
    else:
        box = (1 - diou(chosen, target)).sum()

    cell_logits = logits[image, row, column]
    one_hot = F.one_hot(label, classes).to(predictions.dtype)
    kind = detector.get("class_loss", "cross_entropy")
    if kind == "cross_entropy":
        class_term = F.cross_entropy(cell_logits, label, reduction="sum")
    elif kind == "mse":
        class_term = (cell_logits - one_hot).pow(2).mean(-1).sum()
    else:
        class_term = F.binary_cross_entropy_with_logits(cell_logits, one_hot, reduction="none").mean(-1).sum()
    terms = (objectness / n, settings["box_weight"] * box / n, settings["class_weight"] * class_term / n)
    return sum(terms), terms
