"""gridspot beside what its users would take instead, on the same machine, network, batch and canvases, in one run.

    python bench/baselines/compare.py build/release/gridspot --preset quick:40 --preset small:10 --preset seed:3 --rounds 5
    python bench/baselines/compare.py build/release/gridspot --device cuda --preset small:200 --batch 256 --detect-batch 1024

A round runs gridspot and then every baseline, each a process of its own, and the next round the same in the opposite order: a machine
whose speed drifts favours nobody. gridspot's figure is that of `gridspot bench`: training composes its canvases in every step. A
round's ratio is gridspot's throughput over that of the best baseline of the kind in the same round; where a baseline was slower than
half the best of its kind in the first round it is not run again. variants.py lists the baselines. What failed, and why, is in the results
too. Prints a table; --out writes JSON after every run.
"""
import argparse
import datetime
import fnmatch
import json
import os
import pathlib
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
    parser.add_argument("--preset", action="append", help="NAME or NAME:STEPS (may be repeated; default: quick:40, small:10, seed:3)")
    parser.add_argument("--detect", action="append", help="which of them are compared in detection too (default: small)")
    parser.add_argument("--batch", type=int, help="of training; default: the preset's")
    parser.add_argument("--detect-batch", type=int, action="append", help="default: 1")
    parser.add_argument("--detect-steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--set", action="append", default=[], dest="settings", help="of gridspot bench, e.g. precision=tf32")
    parser.add_argument("--only", action="append", help="patterns of baselines, e.g. '*compiled*' or 'training*memory/*'")
    parser.add_argument("--kernels", help="the program bench_kernels: suppression alone is compared too")
    parser.add_argument("--png-count", type=int, default=1000, help="images in the DataLoader's folder")
    parser.add_argument("--seconds", type=float, default=86400, help="start nothing after that time")
    parser.add_argument("--limit", type=float, default=1200, help="seconds that one process may take")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    options.preset = options.preset or ["quick:40", "small:10", "seed:3"]
    options.detect = ["small"] if options.detect is None else options.detect
    options.detect_batch = options.detect_batch or [1]
    return options


def words(command):
    return [str(word) for word in command]


class OutOfTime(Exception):
    pass


class Runner:
    def __init__(self, options):
        self.options = options
        self.start = time.monotonic()

    def json_of(self, command):
        """What a program prints last, or {"failed": why}."""
        left = self.options.seconds - (time.monotonic() - self.start)
        if left <= 0:
            raise OutOfTime
        print(f"[{time.monotonic() - self.start:4.0f} s] {' '.join(map(str, command))}", file=sys.stderr, flush=True)
        # In a session of its own, so that a DataLoader's or a compiler's workers end with it.
        process = subprocess.Popen(words(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
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
        self.runner = Runner(options)
        self.cuda = options.device.startswith("cuda")
        self.comparisons = {}
        self.device, self.load = options.device, os.getloadavg()[0]
        self.about = json.loads(subprocess.run([options.gridspot, "info", "--json"], check=True, capture_output=True).stdout)
        self.versions, self.failures, self.batches = {"gridspot": self.about["version"]}, {}, {}

    def comparison(self, *key):
        return self.comparisons.setdefault(key, Comparison(*key))

    def prepare(self, preset):
        """The network's file, a model of it, and where PNG files are wanted the folder."""
        gridspot, folder = self.options.gridspot, self.folder / preset
        folder.mkdir()
        network = json.loads(subprocess.run([gridspot, "info", preset, "--json"], check=True, capture_output=True).stdout)["network"]
        (folder / "network.json").write_text(json.dumps(network))
        train = subprocess.run([gridspot, "train", "--preset", preset, "--steps", "1", "--device", self.options.device, "--set",
                                "batch=4", "--set", "evaluation.count=0", "--set", "validation.every_epochs=0", "--out",
                                folder / "run"], capture_output=True, text=True)
        if train.returncode != 0:
            sys.exit(f"gridspot trains no {preset}: {train.stderr}")
        protocol = "quick-64" if network["input"]["height"] <= 100 else "seed-224"
        if any("png" in variant.flags for variant in self.wanted(variants.training(self.cuda))):
            subprocess.run([gridspot, "data", "render", "--protocol", protocol, "--count", str(self.options.png_count), "--out",
                            folder / "png", "--format", "yolo"], check=True, capture_output=True)

    def wanted(self, listed):
        patterns = self.options.only or ["*"]
        return [v for v in listed if any(fnmatch.fnmatch(v.label, pattern) for pattern in patterns)]

    def measure(self, what, command):
        """The program's JSON, or None, and the failure is noted."""
        measured = self.runner.json_of(command)
        if "failed" in measured:
            self.failures[what] = measured["failed"]
            return None
        return measured

    def run_gridspot(self, number, preset, steps, kinds, detects):
        options = self.options
        common = [options.gridspot, "bench", "--preset", preset, "--device", options.device, "--threads", options.threads, "--json"]
        for setting in options.settings:
            common += ["--set", setting]
        command = [*common, "--steps", steps, "--warmup", min(5, steps), "--detect-batch", 1]
        command += ["--batch", options.batch] if options.batch else []
        measured = self.measure(f"gridspot {preset}", command) if kinds else None
        if measured:
            training = measured["presets"][0]["training"][0]
            self.device = measured["device"]
            self.batches[preset] = training["batch"]
            for kind in kinds:
                self.comparison(kind, preset, training["batch"]).add_ours(
                    number, training["canvases_per_second"]["median"], command=words(command),
                    quartiles=training["canvases_per_second"]["quartiles"], peak_memory_mb=measured["peak_memory_mb"])
        if not detects:
            return
        command = [*common, "--batch", 4, "--steps", options.detect_steps, "--warmup", 5]
        for batch in options.detect_batch:
            command += ["--detect-batch", batch]
        measured = self.measure(f"gridspot's detection, {preset}", command)
        self.device = measured["device"] if measured else self.device
        for found in measured["presets"][0]["detection"] if measured else []:
            self.comparison("detection", preset, found["batch"]).add_ours(
                number, found["images_per_second"], command=words(command), milliseconds=found["milliseconds"])

    def run_baseline(self, number, variant, preset, steps):
        options, folder = self.options, self.folder / preset
        command = [sys.executable, HERE / variant.script, "--network", folder / "network.json", "--device", options.device,
                   "--threads", variant.threads or options.threads, *variant.flags]
        trains = variant.script == variants.TRAIN
        if trains:
            if preset not in self.batches:
                return
            batches = [self.batches[preset]]
            command += ["--steps", steps, "--warmup", min(5, steps)]
            command += ["--folder", folder / "png"] if "png" in variant.flags else []
        else:
            batches = options.detect_batch
            command += ["--steps", options.detect_steps, "--model", folder / "run" / "model.safetensors"]
        for batch in batches:
            command += ["--batch", batch]
        targets = [self.comparison(variant.kind, preset, batch) for batch in batches]
        if all(target.hopeless(variant.name) for target in targets):
            return
        measured = self.measure(f"{variant.label}, {preset}", command)
        if not measured:
            for target in targets:
                target.add(number, variant.name, None, command=words(command))
            return
        self.versions.update(measured["versions"])
        details = {key: measured.get(key) for key in ("device", "threads", "peak_memory_mb", "peak_device_memory_mb", "loss", "workers")}
        details["command"] = words(command)
        if trains:
            targets[0].add(number, variant.name, measured["canvases_per_second"], quartiles=measured["quartiles"], **details)
            return
        for target, found in zip(targets, measured["detection"]):
            more = {key: found.get(key) for key in ("milliseconds", "forward_milliseconds", "fastest")}
            target.add(number, variant.name, found["images_per_second"], **details, **more)

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
            target.add_ours(number, row["images"], command=words(command), detections=int(row["detections"]))
        for name, way in measured["nms"]["ways"].items() if measured else []:
            target.add(number, name, 1024 / way["milliseconds"]["median"] * 1e3, command=words(others),
                       detections=way.get("detections"), note=way.get("note"))

    def round(self, number):
        if self.options.kernels:
            self.compare_nms(number)
        for entry in self.options.preset:
            preset, _, steps = entry.partition(":")
            steps = int(steps or 20)
            trained = self.wanted(variants.training(self.cuda))
            detected = self.wanted(variants.detection(self.cuda, self.options.threads)) if preset in self.options.detect else []
            kinds = list(dict.fromkeys(variant.kind for variant in trained))
            runs = [lambda p=preset, s=steps, k=kinds, d=bool(detected): self.run_gridspot(number, p, s, k, d)]
            runs += [lambda v=v, p=preset, s=steps: self.run_baseline(number, v, p, s) for v in trained + detected]
            for run in runs if number % 2 == 0 else reversed(runs):
                run()
                self.write()

    def run(self):
        complete = 0
        try:
            for entry in self.options.preset:
                self.prepare(entry.partition(":")[0])
            for number in range(self.options.rounds):
                self.round(number)
                complete += 1
        except OutOfTime:
            self.failures["time"] = f"{self.options.seconds:.0f} s were over after {complete} whole rounds of {self.options.rounds}"
        self.write()
        return self.results()

    def results(self):
        return {"command": " ".join(["bench/baselines/compare.py", *sys.argv[1:]]), "cpu": self.about["cpu"],
                "processors": self.about["processors"], "device": self.device, "threads": self.options.threads,
                "load_average_before": self.load, "date": datetime.date.today().isoformat(),
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
