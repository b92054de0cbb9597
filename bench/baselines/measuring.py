"""What the baselines share: clocks, quartiles, versions, memory."""
import importlib.metadata
import math
import os
import pathlib
import time

import torch


def add_common_options(parser):
    parser.add_argument("--network", required=True, help="JSON of a network: src/nn/presets/*.json or `gridspot info NAME --json`")
    parser.add_argument("--protocol", default="", help="the canvases; default: quick-64 up to a side of 100, else seed-224")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0, help="measure for so long, at least; on CUDA half a second of warming up too")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32",
                        help="tf32: of CUDA's convolutions and products; bf16: autocast")
    parser.add_argument("--layout", choices=["channels_last", "nchw"], default="channels_last")
    parser.add_argument("--compile", action="store_true", help="torch.compile(mode='max-autotune')")
    parser.add_argument("--cuda-graphs", action="store_true", help="capture everything that has a fixed shape in one CUDA graph")


def check_common_options(parser, options):
    if options.cuda_graphs and not options.device.startswith("cuda"):
        parser.error(f"--cuda-graphs needs a CUDA device, not '{options.device}'")


def prepare(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    reduced = options.precision != "fp32"
    torch.backends.cudnn.allow_tf32 = reduced
    torch.set_float32_matmul_precision("high" if reduced else "highest")


def memory_format(options):
    return torch.channels_last if options.layout == "channels_last" else torch.contiguous_format


def autocast(options):
    return torch.autocast(torch.device(options.device).type, torch.bfloat16, enabled=options.precision == "bf16")


def compile_mode(options):
    """max-autotune brings CUDA graphs of its own, which a graph of the whole must not hold."""
    return "max-autotune-no-cudagraphs" if options.cuda_graphs else "max-autotune"


def synchronize(device):
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


WARM_SECONDS = 0.5  # until a GPU's clocks are up; as `gridspot bench` has it


def warm_up(work, options):
    """How many calls the measurement takes."""
    on_cuda = torch.device(options.device).type == "cuda"
    start, seconds = time.perf_counter(), []
    while len(seconds) < options.warmup or (on_cuda and time.perf_counter() - start < WARM_SECONDS):
        seconds += time_latency(work, 1, options.device)
    return max(options.steps, math.ceil(options.seconds / seconds[-1]) if seconds else 0)


def time_throughput(work, options):
    """Seconds of each measured call. On CUDA the time between events, without waiting for any of them in between."""
    steps = warm_up(work, options)
    if torch.device(options.device).type == "cuda":
        events = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
        events[0].record()
        for event in events[1:]:
            work()
            event.record()
        torch.cuda.synchronize()
        return [before.elapsed_time(after) / 1e3 for before, after in zip(events, events[1:])]
    return time_latency(work, steps, options.device)


def time_latency(work, steps, device):
    """Seconds of each call, each ending with the device's work done."""
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return seconds


def spread(values, digits=3):
    """Median and quartiles as `gridspot bench` takes them."""
    ordered = sorted(values)
    low, median, high = (round(ordered[int(share * (len(ordered) - 1) + 0.5)], digits) for share in (0.25, 0.5, 0.75))
    return {"median": median, "quartiles": [low, high]}


def versions():
    """Of the packages that are installed."""
    found = {}
    for package in ("torch", "torchvision", "triton", "numpy", "onnx", "onnxruntime", "pillow"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    found["torch"] = torch.__version__
    return found


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def about(options):
    """What every result says of itself."""
    on_cuda = torch.device(options.device).type == "cuda"
    result = {"device": torch.cuda.get_device_name(options.device) if on_cuda else processor(), "threads": options.threads,
              "precision": options.precision, "layout": options.layout, "compile": options.compile,
              "cuda_graphs": options.cuda_graphs, "versions": versions()}
    if on_cuda:
        result["cudnn"] = torch.backends.cudnn.version()
    return result


def reset_peak_memory():
    """Linux resets the peak of a process's resident memory on request."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_memory(options):
    """Of the process on the host since the last reset, and of PyTorch's allocator on the device."""
    status = pathlib.Path("/proc/self/status").read_text()
    host = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    result = {"peak_memory_mb": host // 1024}
    if torch.device(options.device).type == "cuda":
        result["peak_device_memory_mb"] = torch.cuda.max_memory_reserved() // 2**20
    return result
