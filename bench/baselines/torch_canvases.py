"""Canvases of gridspot's protocols composed by batched tensor code, on any device and without a loop over canvases.

    composer = Composer("seed-224", load_glyphs(), "cuda")
    canvases, boxes, labels = composer.compose(64)      # [n, 1, h, w] in 0 to 1, [n, k, 4], [n, k] (-1: none)

Sizes, rotations, glyphs, label boxes (tile and tight) and placing rules are those of kernels/scene.cu. Simpler than there, and all in
this code's favour: a pixel is one bilinear sample where gridspot averages up to 2x2 of a glyph that shrinks; a place is searched with
`tries` draws at once, not up to 64 one after another; there is no shear, clutter, noise by pixel index or reproducible canvas i.
What it cannot avoid is that every glyph costs a patch of the largest size.
"""
import dataclasses
import gzip
import math
import os
import pathlib

import numpy
import torch
import torch.nn.functional as F

INK = 64  # of 255: what counts as ink in a tight box


@dataclasses.dataclass
class Protocol:
    """As in kernels/protocol.cpp and `gridspot info`."""
    height: int
    width: int
    min_glyphs: int
    max_glyphs: int
    min_size: float
    max_size: float
    max_rotation: float  # degrees
    placing: str
    box: str
    min_iou: float = 0.0
    max_iou: float = 0.0


PROTOCOLS = {
    "seed-224": Protocol(224, 224, 1, 5, 20, 40, 10, "anywhere", "tile"),
    "separated-224": Protocol(224, 224, 1, 5, 20, 40, 10, "separated", "tile"),
    "overlap-224": Protocol(224, 224, 2, 5, 20, 40, 10, "overlapping", "tile", 0.1, 0.6),
    "crowd-300": Protocol(300, 300, 1, 20, 15, 100, 0, "limited", "tight", 0.0, 0.25),
    "quick-64": Protocol(64, 64, 1, 3, 14, 24, 10, "separated", "tight"),
}


def protocol_for(spec, name=""):
    """Of a network, in its size."""
    height, width = spec["input"]["height"], spec["input"]["width"]
    name = name or ("quick-64" if max(height, width) <= 100 else "seed-224")
    return name, dataclasses.replace(PROTOCOLS[name], height=height, width=width)


def read_idx(path):
    data = (gzip.open(path) if path.suffix == ".gz" else open(path, "rb")).read()
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(shape)


def load_glyphs(split="train"):
    """MNIST's images [count, 28, 28], labels [count] and their folder, where gridspot looks for them; where it is not found,
    blots, which cost as much."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    prefix = "train" if split == "train" else "t10k"
    for folder in filter(None, [os.environ.get("GRIDSPOT_DATA"), "data", f"{cache}/gridspot", "/usr/share/datasets"]):
        for place in (pathlib.Path(folder) / "mnist", pathlib.Path(folder)):
            for end in (".gz", ""):
                images, labels = place / f"{prefix}-images-idx3-ubyte{end}", place / f"{prefix}-labels-idx1-ubyte{end}"
                if images.exists() and labels.exists():
                    return read_idx(images), read_idx(labels), str(place)
    random = numpy.random.default_rng(1)
    blots = numpy.zeros((1000, 28, 28), numpy.uint8)
    blots[:, 4:24, 8:20] = random.integers(0, 256, (1000, 20, 12))
    return blots, random.integers(0, 10, 1000).astype(numpy.uint8), "blots"


def iou_corners(a, b):
    """Of boxes (left, top, right, bottom), broadcast."""
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area_a, area_b = (a[..., 2:] - a[..., :2]).prod(-1), (b[..., 2:] - b[..., :2]).prod(-1)
    return overlap / (area_a + area_b - overlap).clamp(min=1e-12)


class Composer:
    def __init__(self, protocol, glyphs, device="cpu", tries=16, compact=None):
        """`compact`: leave out the slots that hold no glyph, which costs a wait for the device; default: on the CPU alone."""
        self.protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
        self.device = torch.device(device)
        self.tries = tries
        self.compact = self.device.type == "cpu" if compact is None else compact
        images, labels, self.source = glyphs
        self.glyphs = torch.from_numpy(images.copy()).to(self.device)
        self.labels = torch.from_numpy(labels.astype(numpy.int64)).to(self.device)
        self.side = images.shape[1]
        self.extents = self._row_extents(images).to(self.device)
        p = self.protocol
        # Here, because a CUDA graph can capture no copy from the host.
        self.size = torch.tensor([p.width, p.height], dtype=torch.float32, device=self.device)
        self.rows = torch.arange(self.side, device=self.device)[:, None] - self.side / 2 + torch.arange(2, device=self.device)
        turn = math.radians(p.max_rotation)
        self.patch = min(math.ceil(p.max_size * (math.cos(turn) + math.sin(turn))) + 2, p.height, p.width)

    @staticmethod
    def _row_extents(images):
        """[count, rows, 2]: first ink column and one past the last; without ink (inf, -inf)."""
        ink = torch.from_numpy(images >= INK)
        columns = torch.arange(images.shape[2], dtype=torch.float32)
        first = torch.where(ink, columns, torch.inf).amin(-1)
        last = torch.where(ink, columns + 1, -torch.inf).amax(-1)
        return torch.stack([first, last], -1)

    def uniform(self, low, high, *shape):
        return low + (high - low) * torch.rand(shape, device=self.device)

    def compose(self, n):
        with torch.no_grad():
            glyph, transform, centre, corners, valid = self.sample(n)
            canvases = self.render(glyph, transform, centre, valid)
        low, high = corners[..., :2] / self.size, corners[..., 2:] / self.size
        boxes = torch.where(valid[..., None], torch.cat([(low + high) / 2, high - low], -1), 0.0)
        return canvases, boxes, torch.where(valid, self.labels[glyph], -1)

    def sample(self, n):
        """Glyphs [n, k], glyph-to-canvas transforms [n, k, 2, 2], centres [n, k, 2], label corners [n, k, 4], valid [n, k]."""
        p, k = self.protocol, self.protocol.max_glyphs
        count = torch.randint(p.min_glyphs, p.max_glyphs + 1, (n, 1), device=self.device)
        glyph = torch.randint(0, len(self.labels), (n, k), device=self.device)
        scale = self.uniform(p.min_size, p.max_size, n, k) / self.side
        turn = math.radians(p.max_rotation)
        angle = self.uniform(-turn, turn, n, k)
        c, s = scale * torch.cos(angle), scale * torch.sin(angle)
        transform = torch.stack([c, -s, s, c], -1).reshape(n, k, 2, 2)
        reach = (self.side / 2) * (c.abs() + s.abs())
        label = self.ink_boxes(glyph, transform) if p.box == "tight" else torch.stack([-reach, -reach, reach, reach], -1)
        wanted = torch.arange(k, device=self.device) < count
        low, high = reach[..., None].expand(n, k, 2), self.size - reach[..., None]
        if p.placing == "anywhere":
            centre = low + (high - low) * torch.rand(n, k, 2, device=self.device)
            return glyph, transform, centre, self.clip(centre.repeat(1, 1, 2) + label), wanted
        centre, corners, valid = self.place(label, low, high, wanted)
        return glyph, transform, centre, corners, valid

    def clip(self, corners):
        return torch.minimum(corners.clamp(min=0), self.size.repeat(2))

    def place(self, label, low, high, wanted):
        """One slot after another, `tries` places for each at once, of which the first that the rule accepts is taken."""
        n, k = wanted.shape
        placed, valid = torch.zeros(n, 0, 4, device=self.device), torch.zeros(n, 0, dtype=torch.bool, device=self.device)
        centres = []
        for g in range(k):
            box = label[:, None, g]
            first, last = low[:, None, g].expand(n, self.tries, 2), high[:, None, g].expand(n, self.tries, 2)
            if self.protocol.placing == "overlapping" and g > 0:
                partner = torch.randint(0, g, (n, self.tries), device=self.device)
                beside = placed.gather(1, partner[..., None].expand(-1, -1, 4))
                first, last = (torch.minimum(torch.maximum(beside[..., :2] - box[..., 2:], first), last),
                               torch.minimum(torch.maximum(beside[..., 2:] - box[..., :2], first), last))
            centre = first + (last - first) * torch.rand(n, self.tries, 2, device=self.device)
            corners = self.clip(centre.repeat(1, 1, 2) + box)
            overlaps = iou_corners(corners[:, :, None], placed[:, None]) * valid[:, None]
            highest = overlaps.amax(-1) if g > 0 else torch.zeros(n, self.tries, device=self.device)
            accepted = self.accepts(highest, valid.any(-1, keepdim=True) if g > 0 else valid.new_zeros(n, 1))
            choice = accepted.to(torch.int8).argmax(-1)[:, None, None]
            centres.append(centre.gather(1, choice.expand(-1, 1, 2)))
            placed = torch.cat([placed, corners.gather(1, choice.expand(-1, 1, 4))], 1)
            valid = torch.cat([valid, accepted.any(-1, keepdim=True) & wanted[:, g:g + 1]], 1)
        if self.protocol.placing == "overlapping":
            valid = valid & (valid.sum(-1, keepdim=True) > 1)
        return torch.cat(centres, 1), placed, valid

    def accepts(self, highest, others):
        p = self.protocol
        if p.placing == "separated":
            return highest == 0
        if p.placing == "limited":
            return highest < p.max_iou
        return ~others | ((highest >= p.min_iou) & (highest <= p.max_iou))

    def ink_boxes(self, glyph, transform):
        """The transformed ink's box relative to the centre, [n, k, 4]; of a glyph without ink the tile's."""
        half = self.side / 2
        u = self.extents[glyph] - half  # [n, k, rows, 2]
        inked = torch.isfinite(u[..., :1])
        m = transform[:, :, None, None]  # [n, k, 1, 1, 2, 2]
        low, high = [], []
        for axis in (0, 1):
            a, b = m[..., axis, 0] * torch.where(inked, u, 0.0), m[..., axis, 1] * self.rows
            low.append(torch.where(inked[..., 0], a.amin(-1) + b.amin(-1), torch.inf).amin(-1))
            high.append(torch.where(inked[..., 0], a.amax(-1) + b.amax(-1), -torch.inf).amax(-1))
        reach = half * transform.abs().sum(-1)
        empty = ~inked.any(-2)
        return torch.where(empty, torch.cat([-reach, reach], -1), torch.stack(low + high, -1))

    def render(self, glyph, transform, centre, valid):
        """A patch for each glyph, added into its canvas with saturation."""
        p, side = self.protocol, self.patch
        n, k = glyph.shape
        image = torch.arange(n, device=self.device)[:, None].expand(n, k)
        if self.compact:
            glyph, transform, centre, image = glyph[valid], transform[valid], centre[valid], image[valid]
            ink = 1.0
        else:
            glyph, transform, centre, image = (t.flatten(0, 1) for t in (glyph, transform, centre, image))
            ink = valid.flatten()[:, None, None]
        origin = torch.minimum((centre - side / 2).floor().clamp(min=0), self.size - side)
        determinant = transform[:, 0, 0] * transform[:, 1, 1] - transform[:, 0, 1] * transform[:, 1, 0]
        inverse = torch.stack([transform[:, 1, 1], -transform[:, 0, 1], -transform[:, 1, 0], transform[:, 0, 0]], -1)
        inverse = inverse.reshape(-1, 2, 2) / determinant[:, None, None] / (self.side / 2)
        shift = (inverse @ (origin + side / 2 - centre)[..., None])
        grid = F.affine_grid(torch.cat([inverse * (side / 2), shift], -1), (len(glyph), 1, side, side), align_corners=False)
        tiles = self.glyphs[glyph][:, None].float() / 255
        patches = F.grid_sample(tiles, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0] * ink
        line = torch.arange(side, device=self.device)
        x, y = origin.long().unbind(-1)
        rows = (image * p.height + y)[:, None] + line
        places = (rows * p.width + x[:, None])[..., None] + line
        canvases = torch.zeros(n * p.height * p.width, device=self.device)
        canvases.scatter_add_(0, places.flatten(), patches.flatten())
        return canvases.clamp_(max=1).reshape(n, 1, p.height, p.width)
