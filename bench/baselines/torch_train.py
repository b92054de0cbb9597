"""Training throughput of the same network, batch, loss and optimiser in PyTorch, as fast as its users can make it.

    gridspot info small --json | python3 -c 'import json, sys; json.dump(json.load(sys.stdin)["network"], sys.stdout)' > small.json
    python bench/baselines/torch_train.py --network small.json --batch 32
    python bench/baselines/torch_train.py --network small.json --device cuda --precision bf16 --compile --cuda-graphs --canvases composed
    python bench/baselines/torch_train.py --network small.json --canvases png --folder DIR    # of `gridspot data render`

Prints one JSON object. The canvases lie in memory, are composed in every step by torch_canvases.py, or come from PNG files through a
DataLoader. A step is forward, loss, backward, clipping and AdamW; gridspot's also has a moving average of the weights and a learning
rate that follows a schedule, which are left out here. No step waits for the device. The median is over steps; where a DataLoader's
batches come in bursts (--canvases png) `canvases_per_second` is of all steps together.
"""
import argparse
import itertools
import json
import pathlib

import torch

import measuring
from png_folder import endless
from torch_canvases import Composer, load_glyphs, protocol_for
from torch_twin import Twin, dense_detection_loss, encode_targets_at_once

LOSS = {"objectness_weight": 1.0, "no_object_weight": 1.0, "box_weight": 5.0, "class_weight": 1.0, "box_loss": "diou"}


def parse():
    parser = argparse.ArgumentParser()
    measuring.add_common_options(parser)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--canvases", choices=["memory", "composed", "png"], default="memory")
    parser.add_argument("--folder", help="of --canvases png")
    parser.add_argument("--workers", type=int, help="of the DataLoader; default: --threads")
    options = parser.parse_args()
    measuring.check_common_options(parser, options)
    if options.canvases == "png" and not options.folder:
        parser.error("--canvases png needs --folder")
    if options.workers is None:
        options.workers = options.threads
    return options


class Source:
    """Batches as the step takes them: normalised canvases, the object of each cell, boxes, labels."""

    def __init__(self, options, spec):
        self.options, self.spec = options, spec
        self.protocol_name, self.protocol = protocol_for(spec, options.protocol)
        self.glyphs = None
        if options.canvases == "png":
            batches = endless(options.folder, self.protocol.max_glyphs, options.batch, options.workers, options.device)
            self.next = lambda: self.finish(*next(batches))
            return
        composer = Composer(self.protocol, load_glyphs(), options.device, compact=False if options.compile else None)
        self.glyphs = composer.source
        if options.canvases == "composed":
            def compose():
                return self.finish(*composer.compose(options.batch))
            # Its output goes into the step's graphs, so it has none of its own.
            self.next = torch.compile(compose, mode="max-autotune-no-cudagraphs") if options.compile else compose
        else:
            sets = itertools.cycle([self.finish(*composer.compose(options.batch)) for _ in range(4)])
            self.next = lambda: next(sets)

    def finish(self, canvases, boxes, labels):
        mean, deviation = self.spec["input"].get("mean", 0), self.spec["input"].get("deviation", 1)
        if mean != 0 or deviation != 1:
            canvases = (canvases - mean) / deviation
        canvases = canvases.contiguous(memory_format=measuring.memory_format(self.options))
        return canvases, encode_targets_at_once(boxes, labels, self.spec["detector"]["cells"]), boxes, labels


class Training:
    def __init__(self, options, spec):
        self.options = options
        model = Twin(spec).to(options.device, memory_format=measuring.memory_format(options))
        self.parameters = list(model.parameters())
        decayed, rest = ([p for p in self.parameters if (p.dim() > 1) == wanted] for wanted in (True, False))
        self.optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 1e-4}, {"params": rest, "weight_decay": 0}],
                                           lr=1e-3, fused=True, capturable=options.cuda_graphs)

        def loss_of(canvases, owner, boxes, labels):
            with measuring.autocast(options):
                predictions = model(canvases)
            return dense_detection_loss(predictions.float(), owner, boxes, labels, spec["detector"], LOSS)[0]

        self.loss_of = loss_of
        if options.compile:
            self.loss_of = torch.compile(loss_of, mode=measuring.compile_mode(options), fullgraph=True)

    def step(self, batch):
        if self.options.compile:
            torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(*batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 5.0, foreach=True)
        self.optimizer.step()
        return loss.detach()


def captured_step(training, source, composes):
    """A function that does a step by replaying a graph of it, the composing of its canvases included where it has that."""
    inputs = [t.clone(memory_format=torch.preserve_format) for t in source.next()]

    def whole():
        return training.step(source.next() if composes else inputs)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            whole()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    training.optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        loss = whole()

    def replay():
        if not composes:
            for place, value in zip(inputs, source.next()):
                place.copy_(value)
        graph.replay()
        return loss
    return replay


def main():
    options = parse()
    measuring.prepare(options)
    spec = json.loads(pathlib.Path(options.network).read_text())
    source, training = Source(options, spec), Training(options, spec)
    if options.cuda_graphs:
        step = captured_step(training, source, options.canvases == "composed")
    else:
        def step():
            return training.step(source.next())
    losses = [step().item()]
    measuring.reset_peak_memory()
    seconds = measuring.time_throughput(step, options)
    losses.append(step().item())
    rates = [options.batch / s for s in seconds]
    every = options.batch * len(seconds) / sum(seconds)
    over_steps = measuring.spread(rates, 1)
    print(json.dumps({
        "what": "training, PyTorch", "network": spec["name"], "canvases": options.canvases, "protocol": source.protocol_name,
        "glyphs": source.glyphs, "batch": options.batch, "steps": len(seconds), **measuring.about(options),
        "workers": options.workers if options.canvases == "png" else None,
        "canvases_per_second": round(every, 1) if options.canvases == "png" else over_steps["median"],
        "quartiles": over_steps["quartiles"], "mean": round(every, 1),
        "loss": {"first": losses[0], "last": losses[1]}, **measuring.peak_memory(options)}))


if __name__ == "__main__":
    main()
