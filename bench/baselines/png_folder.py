"""The canvases of a folder that `gridspot data render --format yolo` wrote, through a Dataset and a DataLoader with PIL, as the
original study's notebook reads its own; faster than there in that labels are parsed once and pixels stay bytes up to the device.
"""
import pathlib

import numpy
import torch
from PIL import Image


def parse_labels(path, capacity):
    """Boxes [capacity, 4] and labels [capacity] (-1: none) of a file of lines `class cx cy w h`."""
    rows = [line.split() for line in path.read_text().splitlines()]
    boxes, labels = torch.zeros(capacity, 4), torch.full((capacity,), -1)
    for i, row in enumerate(rows):
        labels[i] = int(row[0])
        boxes[i] = torch.tensor([float(value) for value in row[1:]])
    return boxes, labels


def read_image(path):
    return numpy.asarray(Image.open(path).convert("L"))


class PngFolder(torch.utils.data.Dataset):
    def __init__(self, folder, capacity):
        self.images = sorted((pathlib.Path(folder) / "images").glob("*.png"))
        labels = pathlib.Path(folder) / "labels"
        self.labels = [parse_labels(labels / f"{path.stem}.txt", capacity) for path in self.images]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        pixels = torch.from_numpy(read_image(self.images[index]).copy())[None]
        return pixels, *self.labels[index]


def endless(folder, capacity, batch, workers, device):
    """Batches of canvases in 0 to 1, boxes and labels on the device, epoch after epoch in new orders."""
    pinned = torch.device(device).type == "cuda"
    data = PngFolder(folder, capacity)
    if len(data) < batch:
        raise SystemExit(f"{folder} has {len(data)} images, a batch takes {batch}")
    more = {"persistent_workers": True, "prefetch_factor": 4} if workers > 0 else {}
    loader = torch.utils.data.DataLoader(data, batch, shuffle=True, drop_last=True, num_workers=workers, pin_memory=pinned, **more)
    while True:
        for pixels, boxes, labels in loader:
            pixels, boxes, labels = (t.to(device, non_blocking=True) for t in (pixels, boxes, labels))
            yield pixels.float() / 255, boxes, labels
