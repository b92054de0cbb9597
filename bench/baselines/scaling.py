"""How gridspot scales with the canvases of a batch, the size of a canvas, the glyphs on it and the cells of the grid.

    python bench/baselines/scaling.py build/release/gridspot --out scaling
    python bench/baselines/scaling.py build/release/gridspot --device cuda --steps 64 --axis batch=32,256,2048 --out scaling

Starts from the preset `small` on seed-224 and changes one thing at a time; a network of another size or grid has the same layers (see
NETWORKS). Writes OUT/scaling.json and a picture for each axis, OUT/AXIS.svg: images per second, and what share of a training step each
stage takes. Glyphs: uniform from 1 to the number given. Needs matplotlib.
"""
import argparse
import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402

AXES = {"batch": ("canvases a batch", [1, 4, 16, 64, 256]), "canvas": ("side of a canvas, pixels", [64, 128, 224, 320, 448]),
        "glyphs": ("most glyphs on a canvas", [1, 5, 20, 80, 320]), "grid": ("cells along a side of the grid", [7, 14, 28, 56])}
STAGES = ["scene", "canvas", "targets", "forward", "loss", "backward", "optimizer"]
COLOURS = ["#4c78a8", "#9ecae9", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2"]


def network_of_size(small, side):
    """The same layers on a canvas of another size; three of them halve it."""
    network = copy.deepcopy(small)
    network["input"].update(height=side, width=side)
    cells = side
    for _ in range(3):
        cells = (cells - 1) // 2 + 1
    network["detector"]["cells"] = cells
    return network


def network_of_grid(small, cells):
    """Features on 56x56, whatever the grid, so that all but the last layer cost the same; they are averaged to the grid before it."""
    network = copy.deepcopy(small)
    strided = [layer for layer in network["backbone"] if layer.get("stride", 1) == 2]
    strided[-1]["stride"] = 1
    if cells != 56:
        network["head"].insert(len(network["head"]) - 1, {"type": "average_pool", "height": cells, "width": cells})
    network["detector"]["cells"] = cells
    return network


NETWORKS = {"canvas": network_of_size, "grid": network_of_grid}


def variation(axis, value, small, folder):
    """What `gridspot bench` is called with."""
    if axis in NETWORKS:
        path = folder / f"{axis}-{value}.json"
        path.write_text(json.dumps(NETWORKS[axis](small, value)))
        return ["--preset", path]
    if axis == "batch":
        return ["--preset", "small", "--batch", value, "--detect-batch", value]
    return ["--preset", "small", "--set", f"training_set.max_glyphs={value}"]


def measure(options, axis, value, small, folder):
    command = [options.gridspot, "bench", *variation(axis, value, small, folder), "--device", options.device, "--threads", options.threads,
               "--steps", options.steps, "--warmup", options.warmup, "--json"]
    if axis != "batch":
        command += ["--batch", options.batch, "--detect-batch", options.batch]
    for setting in options.settings:
        command += ["--set", setting]
    command = list(map(str, command))
    print(f"{axis} {value}", file=sys.stderr, flush=True)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return {"value": value, "failed": (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]}
    measured = json.loads(done.stdout)
    preset = measured["presets"][0]
    training, detection = preset["training"][0], preset["detection"][0]
    return {"value": value, "device": measured["device"], "protocol": preset["protocol"], "batch": training["batch"],
            "canvases_per_second": training["canvases_per_second"], "share_of_time": shares(training),
            "planned_bytes": training["planned_bytes_total"], "peak_memory_mb": preset["peak_memory_mb"],
            "detection": {"share_of_time": shares(detection),
                          **{key: detection[key] for key in ("batch", "milliseconds", "images_per_second")}}}


def shares(measured):
    return {name: stage["share_of_time"] for name, stage in measured["stages"].items()}


def summary(point):
    return (f"training {point['canvases_per_second']['median']:.4g} canvases/s, "
            f"detection {point['detection']['images_per_second']:.4g} images/s")


def draw(axis, points, device, path):
    points = [point for point in points if "failed" not in point]
    if not points:
        return
    values = [point["value"] for point in points]
    figure, (rates, shares) = pyplot.subplots(1, 2, figsize=(9.6, 3.6), layout="constrained")
    trained = [point["canvases_per_second"] for point in points]
    rates.plot(values, [rate["median"] for rate in trained], "o-", color=COLOURS[3], label="training")
    rates.fill_between(values, [rate["quartiles"][0] for rate in trained], [rate["quartiles"][1] for rate in trained],
                       color=COLOURS[3], alpha=0.25, linewidth=0)
    if axis != "glyphs":  # of which detection knows nothing
        rates.plot(values, [point["detection"]["images_per_second"] for point in points], "s--", color=COLOURS[0], label="detection")
    rates.set(xscale="log", yscale="log", xlabel=AXES[axis][0], ylabel="images per second", title=device)
    bottom = [0.0] * len(points)
    for stage, colour in zip(STAGES, COLOURS):
        heights = [100 * point["share_of_time"].get(stage, 0) for point in points]
        shares.bar(range(len(values)), heights, bottom=bottom, color=colour, label=stage)
        bottom = [low + height for low, height in zip(bottom, heights)]
    shares.set(xlabel=AXES[axis][0], ylabel="share of a training step, %", xticks=range(len(values)), ylim=(0, 100))
    shares.set_xticklabels(values)
    rates.set_xticks(values, values, minor=False)
    rates.minorticks_off()
    rates.grid(True, alpha=0.3)
    rates.legend(frameon=False)
    shares.legend(frameon=False, bbox_to_anchor=(1, 1), loc="upper left", reverse=True)
    figure.savefig(path)
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gridspot")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder")
    parser.add_argument("--axis", action="append", help=f"NAME or NAME=V,V,... of {', '.join(AXES)} (may be repeated; default: all)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16, help="of all axes but `batch`")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--set", action="append", default=[], dest="settings", help="of gridspot bench, e.g. precision=fp32")
    options = parser.parse_args()
    about = json.loads(subprocess.run([options.gridspot, "info", "--json"], check=True, capture_output=True).stdout)
    small = json.loads(subprocess.run([options.gridspot, "info", "small", "--json"], check=True, capture_output=True).stdout)["network"]
    options.out.mkdir(parents=True, exist_ok=True)
    results = {"command": " ".join(["bench/baselines/scaling.py", "gridspot", *sys.argv[2:]]), "cpu": about["cpu"],
               "threads": options.threads, "load_average_before": os.getloadavg()[0],
               "versions": {"gridspot": about["version"], **about["libraries"], "matplotlib": matplotlib.__version__}, "axes": {}}
    print(", ".join(f"{name} {version}" for name, version in results["versions"].items()), file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        for asked in options.axis or AXES:
            axis, _, values = asked.partition("=")
            if axis not in AXES:
                parser.error(f"there is no axis '{axis}'; the axes are {', '.join(AXES)}")
            values = [int(value) for value in values.split(",")] if values else AXES[axis][1]
            points = [measure(options, axis, value, small, pathlib.Path(folder)) for value in values]
            results["axes"][axis] = points
            device = next((point["device"] for point in points if "device" in point), options.device)
            draw(axis, points, device, options.out / f"{axis}.svg")
            (options.out / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")
    for axis, points in results["axes"].items():
        for point in points:
            print(f"{axis} {point['value']}: {point.get('failed') or summary(point)}")


if __name__ == "__main__":
    main()
