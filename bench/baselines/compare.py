"""gridspot beside what its users would take instead, on the same machine, network, batch and canvases, in one run.

    python bench/baselines/compare.py build/release/gridspot --preset quick:40 --preset small:10 --preset seed:3 --rounds 5
    python bench/baselines/compare.py build/release/gridspot --device cuda --preset small:200:256 --detect-batch 1024

A round runs gridspot's variants and then every baseline (where the batch is given the other way round, so that what compiles longest is
not what is left out), each a process of its own, and the next round the same in the opposite order: a machine whose speed drifts favours
nobody. gridspot's figures are those of `gridspot bench`: training composes its canvases in every step.
A round's ratio is the throughput of gridspot's best variant over that of the best baseline of the kind in the same round; what was slower
than half the best of its side in the first round is not run again. variants.py lists both. What failed, and why, is in the results too.
Prints a table; --out writes JSON after every run.
"""
import argparse
import datetime
import fnmatch
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time

import variants
from comparison import Comparison, table

HERE = pathlib.Path(__file__).resolve().parent


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("gridspot")
    parser.add_argument("--preset", action="append", help="NAME[:STEPS[:BATCH]] (may be repeated; default: quick:40, small:10, seed:3)")
    parser.add_argument("--detect", action="append", help="which of them are compared in detection too (default: small)")
    parser.add_argument("--batch", type=int, help="of training; default: the preset's")
    parser.add_argument("--detect-batch", type=int, action="append", help="default: 1")
    parser.add_argument("--detect-steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--set", action="append", default=[], dest="settings", help="of gridspot bench, e.g. precision=tf32")
    parser.add_argument("--measure", type=float, help="seconds that every measurement takes at least; default: 0, on CUDA 1")
    parser.add_argument("--ours", default="*", help="a pattern of gridspot's variants, e.g. 'bf16*'")
    parser.add_argument("--only", action="append", help="patterns of baselines, e.g. '*compiled*', 'training*memory/*' or 'seed/training*png/*'")
    parser.add_argument("--kernels", help="the program bench_kernels: suppression alone is compared too")
    parser.add_argument("--png-count", type=int, default=1000, help="images in the DataLoader's folder")
    parser.add_argument("--seconds", type=float, default=86400, help="start nothing after that time")
    parser.add_argument("--limit", type=float, default=1200, help="seconds that one process may take")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    options.preset = options.preset or ["quick:40", "small:10", "seed:3"]
    options.detect = ["small"] if options.detect is None else options.detect
    options.detect_batch = options.detect_batch or [1]
    if options.measure is None:
        options.measure = 1 if options.device.startswith("cuda") else 0
    return options


def words(command):
    return [str(word) for word in command]


class OutOfTime(Exception):
    pass


class Runner:
    def __init__(self, options, folder):
        self.options = options
        self.start = time.monotonic()
        # What was compiled in one round need not be in the next.
        self.environment = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), **os.environ}

    def json_of(self, command):
        """What a program prints last, or {"failed": why}."""
        left = self.options.seconds - (time.monotonic() - self.start)
        if left <= 0:
            raise OutOfTime
        print(f"[{time.monotonic() - self.start:4.0f} s] {' '.join(map(str, command))}", file=sys.stderr, flush=True)
        # In a session of its own, so that a DataLoader's or a compiler's workers end with it.
        process = subprocess.Popen(words(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                                   env=self.environment)
        try:
            out, errors = process.communicate(timeout=min(left, self.options.limit))
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            if left < self.options.limit:
                raise OutOfTime from None
            return {"failed": f"it took longer than {self.options.limit:.0f} s"}
        try:
            return json.loads(out[out.index("{"):])
        except ValueError:
            lines = [line for line in errors.splitlines() if line.strip()]
            return {"failed": f"exit code {process.returncode}: {lines[-1] if lines else 'no output'}"}


class Comparer:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.runner = Runner(options, folder)
        self.cuda = options.device.startswith("cuda")
        self.comparisons, self.whole_rounds = {}, 0
        self.device, self.load = options.device, os.getloadavg()[0]
        self.about = json.loads(subprocess.run([options.gridspot, "info", "--json"], check=True, capture_output=True).stdout)
        self.versions, self.failures, self.batches = {"gridspot": self.about["version"]}, {}, {}

    def comparison(self, *key):
        return self.comparisons.setdefault(key, Comparison(*key))

    def prepare(self, preset):
        """The network's file, a model of it where detection is compared, and where PNG files are wanted the folder."""
        gridspot, folder = self.options.gridspot, self.folder / preset
        folder.mkdir()
        network = json.loads(subprocess.run([gridspot, "info", preset, "--json"], check=True, capture_output=True).stdout)["network"]
        (folder / "network.json").write_text(json.dumps(network))
        if preset in self.options.detect:
            train = subprocess.run([gridspot, "train", "--preset", preset, "--steps", "1", "--device", self.options.device, "--set",
                                    "batch=4", "--set", "evaluation.count=0", "--set", "validation.every_epochs=0", "--out",
                                    folder / "run"], capture_output=True, text=True)
            if train.returncode != 0:
                self.failures[f"a model of {preset}, in whose place are random weights"] = train.stderr.strip()
        protocol = "quick-64" if network["input"]["height"] <= 100 else "seed-224"
        if any("png" in variant.flags for variant in self.wanted(preset, variants.training(self.cuda))):
            subprocess.run([gridspot, "data", "render", "--protocol", protocol, "--count", str(self.options.png_count), "--out",
                            folder / "png", "--format", "yolo"], check=True, capture_output=True)

    def wanted(self, preset, listed):
        patterns = self.options.only or ["*"]
        return [v for v in listed for name in [f"{preset}/{v.label}"]
                if any(fnmatch.fnmatch(v.label, pattern) or fnmatch.fnmatch(name, pattern) for pattern in patterns)]

    def measure(self, what, command):
        """The program's JSON, or None, and the failure is noted."""
        measured = self.runner.json_of(command)
        if "failed" in measured:
            self.failures[what] = measured["failed"]
            return None
        return measured

    def bench(self, variant, preset, flags):
        """What `gridspot bench` measures of a preset; where it is stopped by the limit, what it had measured up to then."""
        options, kept = self.options, self.folder / "bench.json"
        kept.unlink(missing_ok=True)
        command = [options.gridspot, "bench", "--preset", preset, "--device", options.device, "--threads", options.threads, "--json",
                   "--seconds", options.measure, "--out", kept, *variant.flags, *flags]
        for setting in options.settings:
            command += ["--set", setting]
        what = f"gridspot {variant.name}, {preset}"
        measured = self.measure(what, command)
        if not measured and kept.exists():
            measured = json.loads(kept.read_text())
        if not measured or not measured["presets"]:
            return {"training": [], "detection": []}, command
        self.device = measured["device"]
        found = measured["presets"][0]
        for kind in ("training", "detection"):
            for one in found[kind]:
                if "failure" in one:
                    self.failures[f"{what}, {kind}, batch {one['batch']}"] = one["failure"]
            found[kind] = [one for one in found[kind] if "failure" not in one]
        return found, command

    def train_ours(self, number, variant, preset, steps, batch, kinds):
        batch = batch or self.batches.get(preset)
        targets = [self.comparison(kind, preset, batch) for kind in kinds if batch]
        if targets and all(target.hopeless(target.gridspot, variant.name) for target in targets):
            return
        flags = [*variant.training_flags, "--no-detection", "--steps", steps, "--warmup", min(5, steps)]
        flags += ["--batch", batch] if batch else []
        found, command = self.bench(variant, preset, flags)
        for training in found["training"]:
            self.batches[preset] = training["batch"]
            for kind in kinds:
                target = self.comparison(kind, preset, training["batch"])
                target.add(target.gridspot, number, variant.name, training["canvases_per_second"]["median"], command=shlex.join(words(command)),
                           quartiles=training["canvases_per_second"]["quartiles"], peak_memory_mb=found["peak_memory_mb"])

    def detect_ours(self, number, variant, preset):
        targets = [self.comparison("detection", preset, batch) for batch in self.options.detect_batch]
        if all(target.hopeless(target.gridspot, variant.name) for target in targets):
            return
        flags = ["--no-training", "--steps", self.options.detect_steps, "--warmup", 5]
        for batch in self.options.detect_batch:
            flags += ["--detect-batch", batch]
        found, command = self.bench(variant, preset, flags)
        for one in found["detection"]:
            target = self.comparison("detection", preset, one["batch"])
            target.add(target.gridspot, number, variant.name, one["images_per_second"], command=shlex.join(words(command)),
                       milliseconds=one["milliseconds"])

    def run_baseline(self, number, variant, preset, steps=0, batch=None):
        options, folder = self.options, self.folder / preset
        command = [sys.executable, HERE / variant.script, "--network", folder / "network.json", "--device", options.device,
                   "--threads", variant.threads or options.threads, "--seconds", options.measure, *variant.flags]
        trains = variant.script == variants.TRAIN
        if trains:
            batches = [batch or self.batches.get(preset)]
            if not batches[0]:
                return
            command += ["--steps", steps, "--warmup", min(5, steps)]
            command += ["--folder", folder / "png"] if "png" in variant.flags else []
        else:
            batches = options.detect_batch
            model = folder / "run" / "model.safetensors"
            command += ["--steps", options.detect_steps, *(["--model", model] if model.exists() else [])]
        for batch in [variant.batch] if variant.batch else batches:
            command += ["--batch", batch]
        targets = [self.comparison(variant.kind, preset, batch) for batch in batches]
        if all(target.hopeless(target.baselines, variant.name) for target in targets):
            return
        measured = self.measure(f"{variant.label}, {preset}", command)
        if not measured:
            for target in targets:
                target.add(target.baselines, number, variant.name, None, command=shlex.join(words(command)))
            return
        self.versions.update(measured["versions"])
        details = {key: measured.get(key) for key in ("device", "threads", "peak_memory_mb", "peak_device_memory_mb", "loss", "workers")}
        details["command"] = shlex.join(words(command))
        if trains:
            target = targets[0]
            target.add(target.baselines, number, variant.name, measured["canvases_per_second"], quartiles=measured["quartiles"], **details)
            return
        for target, found in zip(targets, measured["detection"]):
            more = {key: found.get(key) for key in ("milliseconds", "forward_milliseconds", "fastest")}
            target.add(target.baselines, number, variant.name, found["images_per_second"], **details, **more)

    def compare_nms(self, number):
        """Suppression alone, of the same boxes; both print how many they keep."""
        where = self.options.device if ":" in self.options.device or not self.cuda else self.options.device + ":0"
        command = [self.options.kernels, f"--benchmark_filter=nms/1024 images/{where}", "--benchmark_format=json"]
        ours = self.measure("bench_kernels", command)
        network = self.folder / self.options.preset[0].partition(":")[0] / "network.json"
        others = [sys.executable, HERE / variants.DETECT, "--network", network, "--device", self.options.device, "--threads",
                  self.options.threads, "--nms", "--steps", 10, "--warmup", 2]
        measured = self.measure("suppression alone", others)
        target = self.comparison("suppression alone", "-", 1024)
        for row in ours["benchmarks"][:1] if ours else []:
            target.add(target.gridspot, number, "suppress", row["images"], command=shlex.join(words(command)), detections=int(row["detections"]))
        for name, way in measured["nms"]["ways"].items() if measured else []:
            target.add(target.baselines, number, name, 1024 / way["milliseconds"]["median"] * 1e3, command=shlex.join(words(others)),
                       detections=way.get("detections"), note=way.get("note"))

    def round(self, number):
        if self.options.kernels:
            self.compare_nms(number)
        seen = set()
        for entry in self.options.preset:
            preset, *numbers = entry.split(":")
            steps = int(numbers[0]) if numbers else 20
            batch = int(numbers[1]) if len(numbers) > 1 else self.options.batch
            trained = self.wanted(preset, variants.training(self.cuda))
            detected = self.wanted(preset, variants.detection(self.cuda, self.options.threads))
            if preset not in self.options.detect or preset in seen:
                detected = []
            seen.add(preset)
            kinds = list(dict.fromkeys(variant.kind for variant in trained))
            ours = [v for v in variants.ours(self.cuda) if fnmatch.fnmatch(v.name, self.options.ours)]
            runs = [(self.train_ours, v, preset, steps, batch, its) for v in ours if (its := list(filter(v.takes, kinds)))]
            theirs = [(self.run_baseline, v, preset, steps, batch) for v in trained]
            runs = theirs + runs if batch else runs + theirs
            runs += [(self.run_baseline, v, preset) for v in detected]
            runs += [(self.detect_ours, v, preset) for v in ours if detected and v.takes("detection")]
            for run, *arguments in runs if number % 2 == 0 else reversed(runs):
                run(number, *arguments)
                self.write()

    def run(self):
        try:
            for preset in dict.fromkeys(entry.partition(":")[0] for entry in self.options.preset):
                self.prepare(preset)
            for number in range(self.options.rounds):
                self.round(number)
                self.whole_rounds += 1
        except OutOfTime:
            self.failures["time"] = f"{self.options.seconds:.0f} s were over after {self.whole_rounds} whole rounds of {self.options.rounds}"
        self.write()
        return self.results()

    def results(self):
        return {"command": " ".join(["bench/baselines/compare.py", *sys.argv[1:]]), "cpu": self.about["cpu"],
                "processors": self.about["processors"], "device": self.device, "threads": self.options.threads,
                "load_average_before": self.load, "date": datetime.date.today().isoformat(), "whole_rounds": self.whole_rounds,
                "versions": {**self.versions, **self.about["libraries"]},
                "comparisons": [c.result() for c in self.comparisons.values()], "did_not_run": self.failures}

    def write(self):
        if self.options.out:
            self.options.out.write_text(json.dumps(self.results(), indent=1) + "\n")


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # not without what runs below
    with tempfile.TemporaryDirectory() as folder:
        print(table(Comparer(options, pathlib.Path(folder)).run()))


if __name__ == "__main__":
    main()
