"""Non-maximum suppression as users of PyTorch write it, for a batch of images, and boxes to measure it on.

Each way takes corners [n, slots, 4], scores [n, slots], classes [n, slots] and returns (image, slot) of what it keeps, image by image;
all four keep the same.
"""
import numpy
import torch

try:
    import torchvision
except ImportError:  # the dense way needs none
    torchvision = None


def candidates(scores, threshold):
    return (scores >= threshold).nonzero(as_tuple=True)


def batched(corners, scores, classes, threshold, iou_threshold, class_count):
    """torchvision.ops.batched_nms, called once: images and classes are its groups."""
    image, slot = candidates(scores, threshold)
    group = image * class_count + classes[image, slot]
    keep = torchvision.ops.batched_nms(corners[image, slot], scores[image, slot], group, iou_threshold)
    return image[keep], slot[keep]


def shifted(corners, scores, classes, threshold, iou_threshold, class_count):
    """torchvision.ops.nms, called once: each group is moved to a place of its own, in double precision, since float32 would move edges."""
    image, slot = candidates(scores, threshold)
    boxes = corners[image, slot].double()
    if len(boxes) == 0:
        return image, slot
    low, high = boxes.aminmax()
    group = image * class_count + classes[image, slot]
    keep = torchvision.ops.nms(boxes + (group * (high - low + 1))[:, None], scores[image, slot].double(), iou_threshold)
    return image[keep], slot[keep]


def each(corners, scores, classes, threshold, iou_threshold, class_count):
    """torchvision.ops.batched_nms for each image."""
    images, slots = [], []
    for i in range(len(corners)):
        slot, = (scores[i] >= threshold).nonzero(as_tuple=True)
        keep = slot[torchvision.ops.batched_nms(corners[i, slot], scores[i, slot], classes[i, slot], iou_threshold)]
        slots.append(keep)
        images.append(torch.full_like(keep, i))
    return torch.cat(images), torch.cat(slots)


def dense(corners, scores, classes, threshold, iou_threshold, class_count):
    """Tensor code alone: all pairs of an image's candidates at once, then one candidate after another in all images together."""
    n = len(scores)
    most = int((scores >= threshold).sum(-1).max())
    score, slot = scores.topk(most)  # falling
    boxes, label = corners.gather(1, slot[..., None].expand(-1, -1, 4)), classes.gather(1, slot)
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    overlap = (high - low).clamp_(min=0).prod(-1)
    area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    suppresses = overlap > iou_threshold * (area[:, :, None] + area[:, None] - overlap)
    suppresses &= label[:, :, None] == label[:, None]
    keep = score >= threshold
    suppresses.triu_(1)
    for i in range(most - 1):
        keep &= ~(suppresses[:, i] & keep[:, i:i + 1])
    image = torch.arange(n, device=scores.device)[:, None].expand_as(slot)
    return image[keep], slot[keep]


def ways():
    return {"batched_nms": batched, "nms of shifted boxes": shifted, "batched_nms for each image": each,
            "dense tensor code": dense} if torchvision else {"dense tensor code": dense}


def uniform(index, which):
    """Number `which` of element `index` in [0, 1), the same as in bench/kernels_bench.cpp to the last bit."""
    with numpy.errstate(over="ignore"):
        x = index.astype(numpy.uint32) * numpy.uint32(8) + numpy.uint32(which)
        for factor in (2654435761, 2246822519, 3266489917):
            x = (x ^ (x >> numpy.uint32(15))) * numpy.uint32(factor)
        x ^= x >> numpy.uint32(16)
    return (x >> numpy.uint32(8)).astype(numpy.float32) * numpy.float32(2.0**-24)


NMS_IMAGES, NMS_CELLS, NMS_CLASSES, NMS_THRESHOLD = 1024, 28, 10, 0.45


def made_up_boxes():
    """The boxes (cx, cy, w, h), scores and classes of `bench_kernels --benchmark_filter=nms`; a score of 0: no candidate."""
    slots = NMS_CELLS * NMS_CELLS
    index = numpy.arange(NMS_IMAGES * slots)
    row, column = index % slots // NMS_CELLS, index % slots % NMS_CELLS
    cells, least, more = (numpy.float32(value) for value in (NMS_CELLS, 0.1, 0.05))
    cx = (column.astype(numpy.float32) + uniform(index, 0)) / cells
    cy = (row.astype(numpy.float32) + uniform(index, 1)) / cells
    w, h = least + more * uniform(index, 2), least + more * uniform(index, 3)
    found = (row % 7 < 2) & (column % 7 < 2) & (uniform(index, 4) < 0.5)
    score = numpy.where(found, uniform(index, 5), numpy.float32(0))
    object_index = index // slots * 16 + row // 7 * 4 + column // 7
    classes = (uniform(object_index, 6) * numpy.float32(NMS_CLASSES)).astype(numpy.int64)
    shape = NMS_IMAGES, slots
    return numpy.stack([cx, cy, w, h], -1).reshape(*shape, 4), score.reshape(shape), classes.reshape(shape)


def corners_of(boxes):
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)
