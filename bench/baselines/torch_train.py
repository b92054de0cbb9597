"""Training throughput of the same network, batch, loss and optimiser in PyTorch, on canvases that already lie in memory.

    python bench/baselines/torch_train.py --network src/nn/presets/quick.json --batch 64 --steps 60

Prints one JSON object: canvases per second (median over the steps after the warm-up, with quartiles) and peak memory. What a user of
PyTorch would do to be fast is on: channels_last, inference-free metrics, no host copies in the loop; --compile adds torch.compile.
"""
import argparse
import json
import pathlib
import resource
import statistics
import time

import torch

from torch_twin import Twin, detection_loss


def synthetic(batch, batches, spec):
    """Canvases and labels in memory; their content does not change the cost of a step."""
    height, width = spec["input"]["height"], spec["input"]["width"]
    detector = spec["detector"]
    generator = torch.Generator().manual_seed(1)
    sets = []
    for _ in range(batches):
        canvas = torch.rand(batch, 1, height, width, generator=generator)
        objects = 3
        boxes = torch.rand(batch, objects, 4, generator=generator) * 0.1 + torch.tensor([0.1, 0.1, 0.1, 0.1])
        boxes[..., 0] += torch.arange(objects) * 0.25
        labels = torch.randint(0, detector["classes"], (batch, objects), generator=generator)
        owner = torch.full((batch, detector["cells"], detector["cells"]), -1)
        for image in range(batch):
            for k in range(objects):
                owner[image, int(boxes[image, k, 1] * detector["cells"]), int(boxes[image, k, 0] * detector["cells"])] = k
        sets.append((canvas, boxes, labels, owner))
    return sets


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", required=True)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--nchw", action="store_true", help="keep PyTorch's default layout")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spec = json.loads(pathlib.Path(options.network).read_text())
    layout = torch.contiguous_format if options.nchw else torch.channels_last
    model = Twin(spec).to(options.device, memory_format=layout)
    settings = {"objectness_weight": 1.0, "no_object_weight": 1.0, "box_weight": 5.0, "class_weight": 1.0,
                "box_loss": "diou"}
    weights = [p for p in model.parameters() if p.dim() > 1]
    biases = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": weights, "weight_decay": 1e-4}, {"params": biases, "weight_decay": 0}],
                                  lr=1e-3, foreach=True)
    sets = [[t.to(options.device) for t in s] for s in synthetic(options.batch, 4, spec)]
    sets = [[s[0].contiguous(memory_format=layout), *s[1:]] for s in sets]
    forward = torch.compile(model, mode="max-autotune") if options.compile else model

    def synchronize():
        if options.device != "cpu":
            torch.cuda.synchronize()

    seconds = []
    for step in range(options.warmup + options.steps):
        canvas, boxes, labels, owner = sets[step % len(sets)]
        synchronize()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss, _ = detection_loss(forward(canvas), owner, boxes, labels, spec["detector"], settings)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        synchronize()
        if step >= options.warmup:
            seconds.append(time.perf_counter() - start)
    quartiles = statistics.quantiles(seconds, n=4)
    print(json.dumps({
        "what": "training, PyTorch", "network": spec["name"], "batch": options.batch, "device": options.device,
        "threads": options.threads, "compile": options.compile, "layout": "nchw" if options.nchw else "channels_last",
        "torch": torch.__version__,
        "canvases_per_second": round(options.batch / statistics.median(seconds), 1),
        "quartiles": [round(options.batch / q, 1) for q in (quartiles[2], quartiles[0])],
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }))


if __name__ == "__main__":
    main()
