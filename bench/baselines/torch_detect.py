"""Detection with the same network in PyTorch: canvases on the device, forward, decoding, suppression; and suppression alone.

    python bench/baselines/torch_detect.py --network small.json --model model.safetensors --batch 1 --batch 64
    python bench/baselines/torch_detect.py --network small.json --device cuda --precision bf16 --compile --batch 1024 --nms

Prints one JSON object with the latency of each batch size, each way of suppression (torch_nms.py) and of forward and decoding alone. As in
`gridspot bench` canvases are noisy, calls go round several sets of them, and the threshold lets twice as many candidates through as there
are glyphs. --cuda-graphs captures forward and decoding; --compile leaves graphs to torch.compile and folds the weights. --nms measures
1,024 images of made-up boxes, those of `bench_kernels --benchmark_filter=nms`.
"""
import argparse
import importlib
import itertools
import json
import pathlib

import torch

import measuring
import torch_nms
from torch_canvases import Composer, load_glyphs, protocol_for
from torch_twin import Twin, decode, load_twin

NMS_IOU = 0.45  # of gridspot's DetectionSettings
CACHE_BYTES, MOST_SETS = 64 << 20, 8  # of src/measure/detection_bench.cpp
TOO_SLOW = 5.0  # seconds a call, from which on a way of suppression is left out


def noisy_sets(spec, protocol_name, batch, device):
    """Sets of canvases, normalised, with noise so that no two cells have the same score; and how many candidates are wanted of each set.
    As many sets as in `gridspot bench`, so that calls that go round them do not find them in a cache."""
    name, protocol = protocol_for(spec, protocol_name)
    composer = Composer(protocol, load_glyphs("test"), device)

    def one():
        canvases, _, _ = composer.compose(batch)
        canvases = (canvases + 0.1 * torch.randn_like(canvases)).clamp(0, 1)
        return (canvases - spec["input"].get("mean", 0)) / spec["input"].get("deviation", 1)
    first = one()
    count = min(MOST_SETS, max(2, CACHE_BYTES // first.nbytes + 1))
    return name, [first, *(one() for _ in range(count - 1))], batch * (protocol.min_glyphs + protocol.max_glyphs)


def threshold_for(scores, wanted):
    return float(scores.flatten().float().sort(descending=True).values[min(wanted, scores.numel()) - 1])


def measure_ways(ways, draw, threshold, classes, options, forward=lambda given: given):
    """`forward(draw())` and then each way of suppression."""
    results = {}
    for name, way in ways.items():
        def work():
            return way(*forward(draw()), threshold, NMS_IOU, classes)
        first = measuring.time_latency(work, 2, options.device)[-1]
        if first > TOO_SLOW:
            results[name] = {"milliseconds": {"median": round(first * 1e3, 1)}, "note": "one call; too slow for more"}
            continue
        seconds = measuring.time_latency(work, measuring.warm_up(work, options), options.device)
        results[name] = {"milliseconds": measuring.spread([s * 1e3 for s in seconds]), "detections": len(work()[0])}
    return results


def capture(forward, sets):
    """As `forward` of one of the sets, by a graph of its own, so that nothing is copied."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            forward(sets[0])
    torch.cuda.current_stream().wait_stream(side)
    captured = {}
    for canvases in sets:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = forward(canvases)
        captured[canvases.data_ptr()] = graph, outputs

    def replay(given):
        graph, outputs = captured[given.data_ptr()]
        graph.replay()
        return outputs
    return replay


def measure_batch(model, spec, batch, options):
    name, sets, wanted = noisy_sets(spec, options.protocol, batch, options.device)
    sets = [canvases.contiguous(memory_format=measuring.memory_format(options)) for canvases in sets]
    draw = itertools.cycle(sets).__next__

    def plain(given):
        with measuring.autocast(options):
            predictions = model(given)
        return decode(predictions.float(), spec["detector"])

    _, scores, _ = plain(sets[0])
    threshold = threshold_for(scores, wanted)
    forward = plain
    if options.compile:
        torch._dynamo.reset()
        forward = torch.compile(plain, mode=measuring.compile_mode(options), fullgraph=True, dynamic=False)
    if options.cuda_graphs:
        forward = capture(forward, sets)
    ways = measure_ways(torch_nms.ways(), draw, threshold, spec["detector"]["classes"], options, forward)
    fastest = min(ways, key=lambda way: ways[way]["milliseconds"]["median"])
    seconds = measuring.time_latency(lambda: forward(draw()), options.warmup + options.steps, options.device)[options.warmup:]
    return {"batch": batch, "protocol": name, "input_sets": len(sets),
            "candidates_per_image": float((scores >= threshold).sum()) / batch, "ways": ways, "fastest": fastest, "milliseconds": ways[fastest]["milliseconds"],
            "images_per_second": round(batch / ways[fastest]["milliseconds"]["median"] * 1e3, 1),
            "forward_milliseconds": measuring.spread([s * 1e3 for s in seconds])}


def measure_nms(options):
    boxes, scores, classes = (torch.from_numpy(a).to(options.device) for a in torch_nms.made_up_boxes())
    smallest = 1e-30  # of the scores; 0 is no candidate
    given = torch_nms.corners_of(boxes), scores, classes
    ways = measure_ways(torch_nms.ways(), lambda: given, smallest, torch_nms.NMS_CLASSES, options)
    fastest = min(ways, key=lambda way: ways[way]["milliseconds"]["median"])
    return {"images": len(scores), "candidates": int((scores > 0).sum()), "ways": ways, "fastest": fastest,
            "milliseconds": ways[fastest]["milliseconds"],
            "images_per_second": round(len(scores) / ways[fastest]["milliseconds"]["median"] * 1e3, 1)}


def main():
    parser = argparse.ArgumentParser()
    measuring.add_common_options(parser)
    parser.add_argument("--model", help="a model.safetensors of that network; default: random weights")
    parser.add_argument("--batch", type=int, action="append", default=[])
    parser.add_argument("--nms", action="store_true", help="suppression alone too")
    options = parser.parse_args()
    measuring.check_common_options(parser, options)
    measuring.prepare(options)
    spec = json.loads(pathlib.Path(options.network).read_text())
    model = load_twin(options.model, spec) if options.model else Twin(spec).eval()
    model = model.to(options.device, memory_format=measuring.memory_format(options))
    if options.compile:
        inductor = importlib.import_module("torch._inductor.config")
        inductor.freezing = True
    with torch.no_grad():
        detection = [measure_batch(model, spec, batch, options) for batch in options.batch]
        nms = measure_nms(options) if options.nms else None
    print(json.dumps({"what": "detection, PyTorch", "network": spec["name"], **measuring.about(options), "detection": detection,
                      "nms": nms, **measuring.peak_memory(options)}))


if __name__ == "__main__":
    main()
