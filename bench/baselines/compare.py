"""Training throughput of gridspot beside PyTorch's, on the same machine, network and batch, in turn, so that a machine whose speed drifts
does not favour one of the two.

    python bench/baselines/compare.py build/release/gridspot --preset quick --preset seed --rounds 5

Each round runs gridspot end to end (canvases composed in every step), then PyTorch on canvases that already lie in memory, with
channels_last and with its default layout; the better of PyTorch's two layouts counts. Prints a table; --out writes JSON.
"""
import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def run(command):
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gridspot")
    parser.add_argument("--preset", action="append", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="a third PyTorch variant, with torch.compile")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    results = []
    for preset in options.preset:
        ours, theirs, ratios, memory = [], {}, [], {}
        description = run([options.gridspot, "info", preset, "--json"])
        with tempfile.NamedTemporaryFile("w", suffix=".json") as network:
            json.dump(description["network"], network)
            network.flush()
            batch = None
            for _ in range(options.rounds):
                bench = run([options.gridspot, "bench", "--preset", preset, "--steps", str(options.steps), "--device",
                             options.device, "--detect-batch", "1", "--json"])
                training = bench["presets"][0]["training"]
                batch = training["batch"]
                ours.append(training["canvases_per_second"]["median"])
                memory["gridspot"] = bench["peak_memory_mb"]
                variants = {"channels_last": [], "nchw": ["--nchw"]}
                if options.compile:
                    variants["compile"] = ["--compile"]
                round_rates = []
                for name, flags in variants.items():
                    torch = run([sys.executable, str(HERE / "torch_train.py"), "--network", network.name, "--batch",
                                 str(batch), "--steps", str(options.steps), "--warmup", "5", "--device", options.device,
                                 *flags])
                    theirs.setdefault(name, []).append(torch["canvases_per_second"])
                    memory[f"torch {name}"] = torch["peak_memory_mb"]
                    version = torch["torch"]
                    round_rates.append(torch["canvases_per_second"])
                ratios.append(ours[-1] / max(round_rates))
        entry = {"preset": preset, "batch": batch, "device": bench["device"],
                 "gridspot_canvases_per_second": statistics.median(ours),
                 "torch_canvases_per_second": {name: statistics.median(v) for name, v in theirs.items()},
                 "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
                 "rounds": options.rounds, "peak_memory_mb": memory, "torch": version,
                 "machine": platform.processor() or platform.machine()}
        results.append(entry)
        rates = ", ".join(f"{name} {rate:.1f}" for name, rate in entry["torch_canvases_per_second"].items())
        print(f"{preset}, batch {batch}: gridspot {entry['gridspot_canvases_per_second']:.1f} canvases/s; PyTorch {version}: "
              f"{rates}; ratio {entry['ratio']['median']:.2f} ({entry['ratio']['min']:.2f} to {entry['ratio']['max']:.2f}); "
              f"peak memory MB {memory}")
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
