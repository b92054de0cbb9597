"""What compare.py has found, and its table."""
import statistics

HOPELESS = 0.5  # of the best, in the first round: not run again


def put(rates, number, rate):
    """Into the list at the round's place; None where there is none."""
    rates += [None] * (number + 1 - len(rates))
    rates[number] = rate


def median_of(rates):
    known = [rate for rate in rates if rate]
    return statistics.median(known) if known else None


class Comparison:
    """One kind of work at one preset and batch: gridspot's rates and each baseline's, round by round."""

    def __init__(self, kind, preset, batch):
        self.kind, self.preset, self.batch = kind, preset, batch
        self.gridspot = {"rates": []}
        self.baselines = {}

    def add_ours(self, number, rate, **details):
        put(self.gridspot["rates"], number, rate)
        self.gridspot.update(details)

    def add(self, number, name, rate, **details):
        entry = self.baselines.setdefault(name, {"rates": []})
        put(entry["rates"], number, rate)
        entry.update({key: value for key, value in details.items() if value is not None})

    def hopeless(self, name):
        """Far behind another in the first round; what failed there is tried again."""
        firsts = {other: entry["rates"][0] for other, entry in self.baselines.items() if entry["rates"][0]}
        return name in firsts and firsts[name] < HOPELESS * max(firsts.values())

    def result(self):
        ratios, best = [], []
        for number, ours in enumerate(self.gridspot["rates"]):
            rates = {name: entry["rates"][number] for name, entry in self.baselines.items()
                     if len(entry["rates"]) > number and entry["rates"][number]}
            if rates and ours:
                best.append(max(rates, key=rates.get))
                ratios.append(ours / rates[best[-1]])
        ratio = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "rounds": ratios} if ratios else None
        return {"kind": self.kind, "preset": self.preset, "batch": self.batch, "unit": "images/s",
                "gridspot": {**self.gridspot, "median": median_of(self.gridspot["rates"])},
                "baselines": {name: {**entry, "median": median_of(entry["rates"])} for name, entry in self.baselines.items()},
                "best_of_each_round": best, "ratio": ratio}


def rounded(rate):
    return f"{rate:.4g}" if rate < 1e4 else f"{rate:.0f}"


def row(one):
    work, ours = f"| {one['kind']} | {one['preset']}, {one['batch']} ", f"| {rounded(one['gridspot']['median'] or 0)} "
    medians = {name: entry["median"] for name, entry in one["baselines"].items() if entry["median"]}
    ratio = one["ratio"]
    if not ratio:
        return work + ours + "| none ran | - | - |"
    best = max(medians, key=medians.get)
    others = ", ".join(f"{name} {rounded(rate)}" for name, rate in medians.items() if name != best)
    return (work + ours + f"| {best} {rounded(medians[best])} | {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}; "
            f"{len(ratio['rounds'])}) | {others} |")


def table(results):
    """Markdown; images per second."""
    lines = ["| work | preset, batch | gridspot, images/s | best baseline | ratio (min to max; rounds) | other baselines |",
             "|---|---|---|---|---|---|", *map(row, results["comparisons"])]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    lines += ["", f"{results['device']}; {results['cpu']}, {results['threads']} threads, load average before {results['load_average_before']:.1f}; "
              f"{versions}"]
    lines += [f"Did not run: {what}: {why}" for what, why in results["did_not_run"].items()]
    return "\n".join(lines)
