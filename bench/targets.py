"""What gridspot must reach on one H100 or H200, and what ./dev gpu has measured of it."""
import fnmatch
import itertools
import statistics


def more(value, bound):
    return value >= bound


def less(value, bound):
    return value <= bound


def times(value):
    return f"{value:.3g}x"


def percent(value):
    return f"{100 * value:.3g}%"


def seconds(value):
    return f"{value:.3g} s"


def count(value):
    return str(value)


def best_of_rounds(side, pattern="*"):
    """The rate of the fastest in each round, or 0."""
    rates = [entry["rates"] for name, entry in side.items() if fnmatch.fnmatch(name, pattern)]
    return [max(rates_of[number] or 0 for rates_of in rates if number < len(rates_of)) for number in range(max(map(len, rates), default=0))]


def ratio(kind, preset, batch=None, against="*", wants="*"):
    """Of the best of both sides, each at the batch where it is fastest, the median of the rounds; nothing where no baseline `wants` ran."""
    def measure(results):
        ours, theirs, batches = [], [], []
        for comparison in results.get("compare", {}).get("comparisons", []):
            for one in comparison["comparisons"]:
                if one["kind"] == kind and one["preset"] == preset and one["batch"] == (batch or one["batch"]):
                    if any(best_of_rounds(one["baselines"], wants)):
                        ours.append(best_of_rounds(one["gridspot"]))
                        theirs.append(best_of_rounds(one["baselines"], against))
                        batches.append(str(one["batch"]))
        best = [[max(of_batches) for of_batches in itertools.zip_longest(*side, fillvalue=0)] for side in (ours, theirs)]
        ratios = [our_rate / their_rate for our_rate, their_rate in zip(*best) if our_rate and their_rate]
        return (statistics.median(ratios), f"batches {', '.join(batches)}; rounds: {len(ratios)}") if ratios else None
    return measure


def fastest_training(results, preset, precision=None):
    """Of all batches and ways that were measured; its stages, the ceilings beside it, and words that tell which it is."""
    found = []
    for engine in results.get("bench", {}).get("engines", []):
        for entry in engine.get("presets", []):
            for one in entry["training"] if entry["preset"] == preset else []:
                if "failure" not in one and precision in (None, one["precision"]):
                    how = f"batch {one['batch']}, {one['precision']}{', autotuned' if engine['autotune'] else ''}"
                    found.append((one["canvases_per_second"]["median"], how, one["stages"], engine["ceilings"][one["precision"]]))
    if not found:
        return None, None, ""
    rate, how, stages, ceilings = max(found, key=lambda one: one[0])
    return stages, ceilings, f"{how}: {rate:.0f} canvases/s"


def share_of_time(preset, *names):
    def measure(results):
        stages, _, how = fastest_training(results, preset)
        return stages and (sum(stages[name]["share_of_time"] for name in names), how)
    return measure


def share_of_floor(preset, *names):
    def measure(results):
        stages, _, how = fastest_training(results, preset)
        return stages and (sum(stages[name]["floor_milliseconds"] for name in names) / sum(stages[name]["milliseconds"] for name in names),
                           how)
    return measure


def share_of_matrix_rate(preset, *names, precision):
    """What the layers multiply by definition, over the time, of the rate of a large matrix product."""
    def measure(results):
        stages, ceilings, how = fastest_training(results, preset, precision)
        return stages and (sum(stages[name]["operations"] for name in names) / sum(stages[name]["milliseconds"] for name in names)
                           / (ceilings["product_teraflops"] * 1e9), how)
    return measure


def wall_seconds(training, quality, wanted):
    """From the process's start to its end, the evaluation included, where that finds the quality."""
    def measure(results):
        for one in results.get("check", {}).get("trainings", []):
            if one["name"] == training:
                if quality not in one:
                    return None, one["result"]
                reached = one[quality] >= wanted
                return one["seconds"] if reached else None, f"{quality} {one[quality]:.4f} after {seconds(one['seconds'])}"
        return None
    return measure


def steady_state(results):
    """Tests of the captured step fail where it allocates or waits."""
    shards = [test for test in results.get("check", {}).get("tests", []) if test["name"].startswith("test_train")]
    failed = [name for test in shards for name in test["failed"] if "CapturedStep" in name]
    if failed:
        return None, " ".join(failed)
    passed = shards and all(test["result"] == "passed" for test in shards)
    return (0, "the tests of the captured step pass") if passed else None


COMPOSED, PNG = "training, canvases composed", "training, canvases png"
ROWS = [  # work, at least, aim, which is better, how it is written, what measures it
    ("training `small` on `seed-224`, against PyTorch compiled", 3, 6, more, times, ratio(COMPOSED, "small", wants="*compiled*")),
    ("training `seed`, against PyTorch compiled", 1.5, 2.5, more, times, ratio(COMPOSED, "seed", wants="*compiled*")),
    ("training `seed`, against PyTorch eager with a DataLoader of PNG files, as the original ran (batch 16, float32)", 20, 50, more, times,
     ratio(PNG, "seed", against="*original*")),
    ("the same against the fastest with a DataLoader", 20, 50, more, times, ratio(PNG, "seed")),
    ("detection, `small`, batch 1, against PyTorch compiled with torchvision's suppression", 3, 8, more, times,
     ratio("detection", "small", 1, wants="*compiled*")),
    ("detection, `small`, batch 1024, likewise", 3, 6, more, times, ratio("detection", "small", 1024, wants="*compiled*")),
    ("suppression alone, 1,024 images a call, against torchvision's batched_nms", 20, 100, more, times,
     ratio("suppression alone", "-", 1024, against="batched_nms*")),
    ("scene, canvas and targets, share of a training step of `small`", 0.05, 0.02, less, percent,
     share_of_time("small", "scene", "canvas", "targets")),
    ("canvas kernel, share of its floor, `small`", 0.5, 0.8, more, percent, share_of_floor("small", "canvas")),
    ("optimiser, share of its floor, `seed`", 0.7, 0.9, more, percent, share_of_floor("seed", "optimizer")),
    ("forward and backward pass of `seed` in bf16, share of the measured matrix rate", 0.3, 0.45, more, percent,
     share_of_matrix_rate("seed", "forward", "backward", precision="bf16")),
    ("from the process's start to mAP50 0.95 on test canvases of `seed-224`", 20, 5, less, seconds,
     wall_seconds("train small", "mAP50", 0.95)),
    ("digits, from the process's start to 99.0% of the test digits", 5, 1, less, seconds, wall_seconds("train digits", "accuracy", 0.99)),
    ("waits of the host and allocations in the steady state", 0, 0, less, count, steady_state)]


def targets(results):
    """Of the merged results of ./dev gpu: for each row what was measured and whether that is enough."""
    rows = []
    for work, least, aim, better, text, measure in ROWS:
        value, how = measure(results) or (None, "")
        if value is None:
            verdict = "not reached" if how else "not measured"
        else:
            verdict = "aim reached" if better(value, aim) else "reached" if better(value, least) else "not reached"
        rows.append({"work": work, "value": value, "measured": (text(value) if value is not None else "-") + (f" ({how})" if how else ""),
                     "at_least": text(least), "aim": text(aim), "verdict": verdict})
    return rows
