"""Detection with the same network and weights in ONNX Runtime on the CPU: forward and decoding in the graph, suppression in NumPy.

    python bench/baselines/onnx_detect.py --network small.json --model model.safetensors --batch 1 --batch 64

Prints one JSON object with the latency of each batch size, whole and of the session alone. Canvases and threshold are those of
torch_detect.py. Needs onnx, onnxruntime and onnxscript beside torch, with which the network is exported.
"""
import argparse
import contextlib
import itertools
import json
import os
import pathlib
import sys
import tempfile

import numpy
import onnxruntime
import torch

import measuring
from torch_detect import NMS_IOU, noisy_sets, threshold_for
from torch_twin import Twin, decode, load_twin


class Exported(torch.nn.Module):
    def __init__(self, model, detector):
        super().__init__()
        self.model, self.detector = model, detector

    def forward(self, canvases):
        return decode(self.model(canvases), self.detector)


class OnnxDetector:
    def __init__(self, model, spec, batch, threads):
        size = spec["input"]["height"], spec["input"]["width"]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.onnx")
            with contextlib.redirect_stdout(sys.stderr):  # the exporter talks
                torch.onnx.export(Exported(model, spec["detector"]).eval(), (torch.zeros(batch, 1, *size),), path,
                                  input_names=["canvases"], output_names=["corners", "scores", "classes"], dynamo=True,
                                  external_data=False)
            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
            settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
            self.session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

    def forward(self, canvases):
        return self.session.run(None, {"canvases": canvases})

    @staticmethod
    def suppress(corners, scores, classes, threshold, iou_threshold):
        """Greedy, per class: (image, slot) of what is kept, image by image and by falling score."""
        image, slot = numpy.nonzero(scores >= threshold)
        order = numpy.lexsort((-scores[image, slot], image))
        image, slot = image[order], slot[order]
        boxes, label = corners[image, slot], classes[image, slot]
        keep = numpy.ones(len(image), bool)
        ends = numpy.searchsorted(image, numpy.arange(len(scores) + 1))
        for first, last in zip(ends[:-1], ends[1:]):
            part = boxes[first:last]
            overlap = numpy.minimum(part[:, None, 2:], part[None, :, 2:]) - numpy.maximum(part[:, None, :2], part[None, :, :2])
            overlap = overlap.clip(min=0).prod(-1)
            area = (part[:, 2:] - part[:, :2]).prod(-1)
            suppresses = overlap > iou_threshold * (area[:, None] + area[None] - overlap)
            suppresses &= label[first:last, None] == label[None, first:last]
            for i in range(last - first):
                if keep[first + i]:
                    keep[first + i + 1:last] &= ~suppresses[i, i + 1:]
        return image[keep], slot[keep]


def measure_batch(model, spec, batch, options):
    detector = OnnxDetector(model, spec, batch, options.threads)
    name, sets, wanted = noisy_sets(spec, options.protocol, batch, "cpu")
    sets = [numpy.ascontiguousarray(canvases.numpy()) for canvases in sets]
    draw = itertools.cycle(sets).__next__
    _, scores, _ = detector.forward(sets[0])
    threshold = threshold_for(torch.from_numpy(scores), wanted)

    def work():
        return detector.suppress(*detector.forward(draw()), threshold, NMS_IOU)

    def measure(call):
        seconds = measuring.time_latency(call, options.warmup + options.steps, "cpu")[options.warmup:]
        return measuring.spread([s * 1e3 for s in seconds])

    whole = measure(work)
    return {"batch": batch, "protocol": name, "input_sets": len(sets),
            "candidates_per_image": float((scores >= threshold).sum()) / batch, "detections": len(work()[0]), "milliseconds": whole,
            "images_per_second": round(batch / whole["median"] * 1e3, 1), "forward_milliseconds": measure(lambda: detector.forward(draw()))}


def main():
    parser = argparse.ArgumentParser()
    measuring.add_common_options(parser)
    parser.add_argument("--model", help="a model.safetensors of that network; default: random weights")
    parser.add_argument("--batch", type=int, action="append", default=[])
    options = parser.parse_args()
    if options.device != "cpu" or options.precision != "fp32" or options.compile or options.cuda_graphs:
        parser.error("ONNX Runtime is measured on the CPU in fp32 alone")
    measuring.prepare(options)
    spec = json.loads(pathlib.Path(options.network).read_text())
    model = load_twin(options.model, spec) if options.model else Twin(spec).eval()
    with torch.no_grad():
        detection = [measure_batch(model, spec, batch, options) for batch in options.batch or [1]]
    print(json.dumps({"what": "detection, ONNX Runtime", "network": spec["name"], "device": measuring.processor(),
                      "threads": options.threads, "versions": measuring.versions(), "detection": detection,
                      **measuring.peak_memory(options)}))


if __name__ == "__main__":
    main()
