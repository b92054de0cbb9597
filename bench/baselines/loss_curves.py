"""Trains the same network from the same weights on the same canvases in gridspot and in PyTorch, and compares the loss of every step.

    python bench/baselines/loss_curves.py build/release/gridspot --preset quick --steps 50
    python bench/baselines/loss_curves.py build/release/gridspot --preset small --protocol seed-224 --recipe original

gridspot renders the canvases to a folder, trains on it without shuffling, and keeps its first checkpoint; PyTorch reads the folder and
that checkpoint, in float64. gridspot computes by the definition (fp32) unless told otherwise. Prints one JSON object; the exit status is 1 where a loss of gridspot differs by more than --tolerance of
its value. Training amplifies roundings from step to step, the more the higher the learning rate, until another predictor is the
better one and the curves part: what PyTorch's own float32 differs from its float64 stands beside.
Needs torch, numpy, safetensors and Pillow.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from safetensors.torch import load_file

from png_folder import parse_labels, read_image
from torch_twin import Twin, detection_loss, encode_targets


def read_folder(folder, capacity):
    """Canvases [n, 1, h, w] in 0 to 1, boxes [n, capacity, 4], labels [n, capacity] (-1: none), in the order of their names."""
    images = sorted((folder / "images").glob("*.png"))
    canvases = numpy.stack([read_image(path) for path in images]).astype(numpy.float32) / 255
    boxes, labels = zip(*(parse_labels(folder / "labels" / f"{path.stem}.txt", capacity) for path in images))
    return torch.from_numpy(canvases)[:, None], torch.stack(boxes), torch.stack(labels)


def run_gridspot(options, folder):
    render = [options.gridspot, "data", "render", "--protocol", options.protocol, "--count", str(options.batch * options.steps),
              "--seed", "3", "--out", str(folder / "set")]
    commands = [render]
    recipe = ["--preset", options.preset]
    if options.recipe != "train":  # a study's model C begins with fresh weights; its configuration is what is wanted
        commands.append([options.gridspot, "study", "--preset", options.preset, "--protocol", options.protocol, "--recipe",
                         options.recipe, "--models", "C", "--milestones", "1", "--images", "16", "--count", "1", "--out",
                         str(folder / "study")])
        recipe = ["--config", str(folder / "study" / "C" / "config.json"), "--set", "training_set.images=0"]
    train = [options.gridspot, "train", *recipe, "--dataset", str(folder / "set"), "--steps", str(options.steps),
             "--out", str(folder / "run"), "--set", f"batch={options.batch}", "--set", "training_set.shuffle=false",
             "--set", "validation.every_epochs=0", "--set", "evaluation.count=0", "--set", "checkpoint_every=0",
             "--set", "optimizer.schedule.kind=constant", "--set", "optimizer.schedule.warmup=0",
             "--set", f"optimizer.schedule.peak={options.learning_rate}", "--precision", options.precision]
    for command in (*commands, train):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    config = json.loads((folder / "run" / "config.json").read_text())
    metrics = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    return config, metrics, load_file(folder / "run" / "checkpoints" / "step-000000000000.safetensors")


def run_torch(config, learning_rates, weights, data, batch, dtype):
    network, settings, adam = config["network"], config["loss"], config["optimizer"]
    model = Twin(network).to(dtype)
    with torch.no_grad():
        for name, parameter in model.named().items():
            parameter.copy_(weights["weights." + name])
    decays = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[adam["kind"]]
    optimizer = kind([{"params": decays, "weight_decay": adam["weight_decay"]}, {"params": rest, "weight_decay": 0}],
                     betas=(adam["beta1"], adam["beta2"]), eps=adam["epsilon"])
    canvases, boxes, labels = data[0].to(dtype), data[1].to(dtype), data[2]
    canvases = (canvases - network["input"]["mean"]) / network["input"]["deviation"]
    losses = []
    for step, learning_rate in enumerate(learning_rates):
        part = slice(step * batch, (step + 1) * batch)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        owner = encode_targets(boxes[part], labels[part], network["detector"]["cells"])
        loss, _ = detection_loss(model(canvases[part]), owner, boxes[part], labels[part], network["detector"], settings)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), adam["clip_norm"])
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gridspot")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--protocol", default="quick-64")
    parser.add_argument("--precision", default="fp32", help="of gridspot; others round more")
    parser.add_argument("--recipe", choices=["train", "original", "best"], default="train", help="of `train`, or of a study")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--tolerance", type=float, default=5e-4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        config, metrics, weights = run_gridspot(options, folder)
        ours = [line["loss"] for line in metrics]
        data = read_folder(folder / "set", capacity=32)
    rates = [line["learning_rate"] for line in metrics]
    exact, single = (run_torch(config, rates, weights, data, options.batch, dtype) for dtype in (torch.float64, torch.float32))

    def largest_difference(losses):
        return max(abs(a - b) / abs(b) for a, b in zip(losses, exact))

    agree = largest_difference(ours) <= options.tolerance
    about = json.loads(subprocess.run([options.gridspot, "info", "--json"], check=True, capture_output=True).stdout)
    print(json.dumps({"command": " ".join(["bench/baselines/loss_curves.py", "gridspot", *sys.argv[2:]]), "cpu": about["cpu"],
                      "gridspot": about["version"], "oneDNN": about["libraries"].get("oneDNN"), "torch": torch.__version__,
                      "preset": options.preset, "recipe": options.recipe, "steps": options.steps, "batch": options.batch,
                      "learning_rate": options.learning_rate,
                      "first_loss": {"gridspot": ours[0], "torch_float64": exact[0]},
                      "last_loss": {"gridspot": ours[-1], "torch_float64": exact[-1]},
                      "largest_relative_difference": {"gridspot": largest_difference(ours), "torch_float32": largest_difference(single)},
                      "tolerance": options.tolerance, "agree": agree}, indent=2))
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
