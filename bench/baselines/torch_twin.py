"""The same network and the same loss in PyTorch, for baselines and recorded numbers.

`Twin` builds what src/nn/network.cpp builds from the same JSON (`gridspot info MODEL --json` prints it, src/nn/presets/ holds the
presets); its parameter names and layouts are those of gridspot's checkpoints. `encode_targets` and `detection_loss` are kernels/targets.h
and kernels/loss.h written with PyTorch's own operations, plainly; `encode_targets_at_once` and `dense_detection_loss` compute the same
without a loop and without waiting for the device, for what is timed; `decode` is kernels/decode.h. check.py compares them.
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


def load_twin(path, spec):
    """With the weights of a model.safetensors."""
    from safetensors.torch import load_file
    model, weights = Twin(spec), load_file(path)
    with torch.no_grad():
        for name, parameter in model.named().items():
            parameter.copy_(weights[name])
    return model.eval()


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


def encode_targets_at_once(boxes, labels, cells):
    """The same on the tensors' device: an object keeps its cell unless another one there is larger, or as large and earlier."""
    n, k = labels.shape
    valid = labels >= 0
    place = (boxes[..., :2] * cells).long().clamp(0, cells - 1)
    cell = torch.where(valid, place[..., 1] * cells + place[..., 0], cells * cells)
    area = boxes[..., 2] * boxes[..., 3]
    order = torch.arange(k, device=labels.device)
    beats = (area[:, None] > area[..., None]) | ((area[:, None] == area[..., None]) & (order < order[:, None]))
    beaten = ((cell[:, None] == cell[..., None]) & valid[:, None] & beats).any(-1)
    owner = torch.full((n, cells * cells + 1), -1, dtype=torch.long, device=labels.device)
    owner.scatter_(1, torch.where(beaten, cells * cells, cell), order.expand(n, k))
    return owner[:, :-1].reshape(n, cells, cells)


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


def decode_slots(slots, detector):
    """Boxes [n, S, S, B, 4] of the outputs [n, S, S, B, 5]."""
    cells = slots.shape[1]
    position = torch.arange(cells, device=slots.device, dtype=slots.dtype)
    cx = (position[None, None, :, None] + torch.sigmoid(slots[..., 1])) / cells
    cy = (position[None, :, None, None] + torch.sigmoid(slots[..., 2])) / cells
    w, h = slots[..., 3], slots[..., 4]
    if detector.get("size_coding", "exponential") == "exponential":
        w, h = detector["prior_width"] * torch.exp(w.clamp(-4, 4)), detector["prior_height"] * torch.exp(h.clamp(-4, 4))
    return torch.stack([cx, cy, w, h], -1)


def decode(predictions, detector):
    """Corners [n, slots, 4], scores [n, slots] and classes [n, slots] of the predictions [n, S, S, channels]."""
    n, cells, predictors = predictions.shape[0], predictions.shape[1], detector.get("predictors", 1)
    slots = predictions[..., :predictors * 5].reshape(n, cells, cells, predictors, 5)
    boxes = decode_slots(slots, detector)
    logits = predictions[..., predictors * 5:]
    bce = detector.get("class_loss", "cross_entropy") == "bce"
    probability, label = (torch.sigmoid(logits) if bce else torch.softmax(logits, -1)).max(-1)
    score = torch.sigmoid(slots[..., 0]) * probability[..., None]
    corners = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)
    return corners.reshape(n, -1, 4), score.reshape(n, -1), label[..., None].expand_as(score).reshape(n, -1)


def dense_detection_loss(predictions, owner, boxes, labels, detector, settings):
    """detection_loss over all cells, with masks in the place of lists of objects."""
    n, cells = owner.shape[0], owner.shape[1]
    predictors, classes = detector.get("predictors", 1), detector["classes"]
    slots = predictions[..., :predictors * 5].reshape(n, cells, cells, predictors, 5)
    logits = predictions[..., predictors * 5:]
    held = owner >= 0
    index = owner.clamp(min=0).reshape(n, -1)
    target = boxes.gather(1, index[..., None].expand(-1, -1, 4)).reshape(n, cells, cells, 4)
    label = labels.long().gather(1, index).reshape(n, cells, cells)

    decoded = decode_slots(slots, detector)
    if predictors == 1:
        best = torch.zeros_like(owner)
    else:
        best = iou(decoded.detach(), target[..., None, :]).argmax(-1)
    responsible = held[..., None] & (torch.arange(predictors, device=owner.device) == best[..., None])
    weight = torch.where(responsible, settings["objectness_weight"], settings["no_object_weight"])
    bce = F.binary_cross_entropy_with_logits(slots[..., 0], responsible.to(predictions.dtype), reduction="none")
    objectness = (weight * bce).sum() / (cells * cells * predictors)

    pick = best[..., None, None]
    chosen = decoded.gather(3, pick.expand(-1, -1, -1, 1, 4))[..., 0, :]
    if settings["box_loss"] == "mse":
        in_cell = torch.sigmoid(slots.gather(3, pick.expand(-1, -1, -1, 1, 5))[..., 0, 1:3])
        position = torch.arange(cells, device=owner.device, dtype=predictions.dtype)
        x, y = target[..., 0] * cells - position, target[..., 1] * cells - position[:, None]
        error = torch.cat([in_cell - torch.stack([x, y], -1), chosen[..., 2:] - target[..., 2:]], -1)
        box = torch.where(held, error.pow(2).mean(-1), 0.0).sum()
    else:
        # Where nothing is, a box that is equal to its target: any other may divide by zero, and the NaN would spread.
        anywhere = torch.full_like(target, 0.5)
        box = torch.where(held, 1 - diou(torch.where(held[..., None], chosen, anywhere),
                                         torch.where(held[..., None], target, anywhere)), 0.0).sum()

    kind = detector.get("class_loss", "cross_entropy")
    if kind == "cross_entropy":
        class_term = F.cross_entropy(logits.reshape(-1, classes), torch.where(held, label, -1).reshape(-1), ignore_index=-1,
                                     reduction="sum")
    else:
        one_hot = (label[..., None] == torch.arange(classes, device=owner.device)).to(predictions.dtype)
        if kind == "mse":
            error = (logits - one_hot).pow(2)
        else:
            error = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="none")
        class_term = torch.where(held, error.mean(-1), 0.0).sum()
    terms = (objectness / n, settings["box_weight"] * box / n, settings["class_weight"] * class_term / n)
    return sum(terms), terms
