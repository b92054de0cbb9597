"""What gridspot must reach on one H100 or H200, and what ./dev gpu has measured of it."""
import fnmatch
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
    """Of the best of both sides, the median of the rounds, at the batch where gridspot is fastest; nothing where no baseline `wants` ran."""
    def measure(results):
        found = []
        for one in results.get("compare", {}).get("comparison", {}).get("comparisons", []):
            if one["kind"] != kind or one["preset"] != preset or one["batch"] != (batch or one["batch"]):
                continue
            pairs = zip(best_of_rounds(one["gridspot"]), best_of_rounds(one["baselines"], against))
            ratios = [ours / theirs for ours, theirs in pairs if ours and theirs]
            if ratios and any(best_of_rounds(one["baselines"], wants)):
                rate = statistics.median(filter(None, best_of_rounds(one["gridspot"])))
                found.append((rate, statistics.median(ratios), f"batch {one['batch']}, rounds: {len(ratios)}"))
        return max(found)[1:] if found else None
    return measure


def fastest_training(results, preset, precision=None):
    """Of all batches and ways that were measured; its stages, and words that tell which it is."""
    found = []
    for engine in results.get("bench", {}).get("engines", []):
        for entry in engine.get("presets", []):
            for one in entry["training"] if entry["preset"] == preset else []:
                if "failure" not in one and precision in (None, one["precision"]):
                    how = f"batch {one['batch']}, {one['precision']}{', autotuned' if engine['autotune'] else ''}"
                    found.append((one["canvases_per_second"]["median"], how, one["stages"]))
    if not found:
        return None, ""
    rate, how, stages = max(found, key=lambda one: one[0])
    return stages, f"{how}: {rate:.0f} canvases/s"


def share_of_time(preset, *names):
    def measure(results):
        stages, how = fastest_training(results, preset)
        return stages and (sum(stages[name]["share_of_time"] for name in names), how)
    return measure


def share_of_floor(preset, *names, precision=None):
    def measure(results):
        stages, how = fastest_training(results, preset, precision)
        return stages and (sum(stages[name]["floor_milliseconds"] for name in names) / sum(stages[name]["milliseconds"] for name in names),
                           how)
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
    for test in results.get("check", {}).get("tests", []):
        if test["name"] == "test_train" and test["run"] > 0:
            failed = [name for name in test["failed"] if "CapturedStep" in name]
            if failed or test["result"] == "passed":
                return None if failed else 0, " ".join(failed) or "the tests of the captured step pass"
    return None


COMPOSED, PNG = "training, canvases composed", "training, canvases png"
ROWS = [  # work, at least, aim, which is better, how it is written, what measures it
    ("training `small` on `seed-224`, against PyTorch compiled", 3, 6, more, times, ratio(COMPOSED, "small", wants="*compiled*")),
    ("training `seed`, against PyTorch compiled", 1.5, 2.5, more, times, ratio(COMPOSED, "seed", wants="*compiled*")),
    ("training `seed`, against PyTorch eager with a DataLoader of PNG files", 20, 50, more, times, ratio(PNG, "seed", against="*eager*")),
    ("detection, `small`, batch 1, against PyTorch compiled with torchvision's suppression", 3, 8, more, times,
     ratio("detection", "small", 1, wants="*compiled*")),
    ("detection, `small`, batch 1024, likewise", 3, 6, more, times, ratio("detection", "small", 1024, wants="*compiled*")),
    ("suppression alone, 1,024 images a call, against torchvision's batched_nms", 20, 100, more, times,
     ratio("suppression alone", "-", 1024, against="batched_nms*")),
    ("scene, canvas and targets, share of a training step of `small`", 0.05, 0.02, less, percent,
     share_of_time("small", "scene", "canvas", "targets")),
    ("canvas kernel, share of its floor, `small`", 0.5, 0.8, more, percent, share_of_floor("small", "canvas")),
    ("optimiser, share of its floor, `seed`", 0.7, 0.9, more, percent, share_of_floor("seed", "optimizer")),
    ("forward and backward pass of `seed` in bf16, share of their floor", 0.3, 0.45, more, percent,
     share_of_floor("seed", "forward", "backward", precision="bf16")),
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
