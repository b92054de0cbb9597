"""Lets TensorBoard itself read a run's event files, and compares what it finds with metrics.jsonl and validation.jsonl.

    python tests/io/tensorboard_reads.py build/release/gridspot

Trains, stops half-way, resumes. The exit status is 1 where a scalar is missing, doubled or another number. Needs tensorboard and numpy.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = 40


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def train(program, run):
    settings = ["--preset", "quick", "--data", "builtin", "--steps", str(STEPS), "--out", str(run), "--set", "batch=8",
                "--set", "evaluation.count=0", "--set", "epoch_canvases=40", "--set", "validation.count=8"]
    first = subprocess.Popen([program, "train", "--tensorboard", *settings], stderr=subprocess.DEVNULL)
    while first.poll() is None and not ((run / "metrics.jsonl").exists() and (run / "metrics.jsonl").read_text().count("\n") >= STEPS // 2):
        pass
    first.terminate()
    first.wait()
    subprocess.run([program, "train", "--resume", str(run), "--tensorboard"], check=True, stderr=subprocess.DEVNULL)


def expected_scalars(run):
    """Of each tag the pairs of step and value, as float32."""
    scalars = {}
    for line in lines(run / "metrics.jsonl"):
        for tag, key in (("loss/objectness", "objectness"), ("loss/box", "box"), ("loss/class", "class"),
                         ("gradient_norm", "gradient_norm"), ("learning_rate", "learning_rate")):
            scalars.setdefault(tag, []).append((line["step"], numpy.float32(line[key])))
    for line in lines(run / "validation.jsonl"):
        for key in ("mAP50", "mAP50_95", "class_accuracy"):
            scalars.setdefault("validation/" + key, []).append((line["step"], numpy.float32(line[key])))
    return scalars


def main():
    with tempfile.TemporaryDirectory() as name:
        run = pathlib.Path(name) / "run"
        train(sys.argv[1], run)
        read = EventAccumulator(str(run), size_guidance={"scalars": 0})
        read.Reload()
        faults = []
        for tag, wanted in expected_scalars(run).items():
            found = [(event.step, numpy.float32(event.value)) for event in read.Scalars(tag)]
            print(f"{tag}: {len(found)} scalars")
            if found != wanted:
                faults.append(f"{tag}: expected {wanted}, found {found}")
        print("\n".join(faults) if faults else f"{len(list(run.glob('events*')))} event files, all as the run's own files say")
        sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
