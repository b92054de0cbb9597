"""What compare.py has found, and its table."""
import statistics

HOPELESS = 0.5  # of the best of the same side, in the first round: not run again


def rate_in(entry, number):
    """Of a round; None where there is none."""
    return entry["rates"][number] if number < len(entry["rates"]) else None


def best_in(side, number):
    """The name and rate of the fastest in a round; (None, None) where none ran."""
    rates = {name: rate for name, entry in side.items() if (rate := rate_in(entry, number))}
    best = max(rates, key=rates.get, default=None)
    return best, rates.get(best)


def with_medians(side):
    result = {}
    for name, entry in side.items():
        known = [rate for rate in entry["rates"] if rate]
        result[name] = {**entry, "median": statistics.median(known) if known else None}
    return result


class Comparison:
    """One kind of work at one preset and batch: the rates of gridspot's variants and of the baselines, round by round."""

    def __init__(self, kind, preset, batch):
        self.kind, self.preset, self.batch = kind, preset, batch
        self.gridspot, self.baselines = {}, {}

    @staticmethod
    def add(side, number, name, rate, **details):
        """`side`: gridspot or baselines; `rate` is None where it failed."""
        entry = side.setdefault(name, {"rates": []})
        entry["rates"] += [None] * (number + 1 - len(entry["rates"]))
        entry["rates"][number] = rate
        entry.update({key: value for key, value in details.items() if value is not None})

    @staticmethod
    def hopeless(side, name):
        """Far behind another in the first round; what failed there is tried again."""
        first = rate_in(side.get(name, {"rates": []}), 0)
        return bool(first) and first < HOPELESS * best_in(side, 0)[1]

    def result(self):
        """A round's ratio is that of the best of both sides."""
        winners, ratios = {"gridspot": [], "baselines": []}, []
        for number in range(max((len(entry["rates"]) for entry in self.gridspot.values()), default=0)):
            (ours, our_rate), (theirs, their_rate) = best_in(self.gridspot, number), best_in(self.baselines, number)
            if our_rate and their_rate:
                winners["gridspot"].append(ours)
                winners["baselines"].append(theirs)
                ratios.append(our_rate / their_rate)
        ratio = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "rounds": ratios} if ratios else None
        return {"kind": self.kind, "preset": self.preset, "batch": self.batch, "unit": "images/s", "ratio": ratio,
                "best_of_each_round": winners, "gridspot": with_medians(self.gridspot), "baselines": with_medians(self.baselines)}


def rounded(rate):
    return f"{rate:.4g}" if rate < 1e4 else f"{rate:.0f}"


def best_and_others(side):
    """Texts."""
    medians = {name: entry["median"] for name, entry in side.items() if entry["median"]}
    texts = [f"{name} {rounded(medians[name])}" for name in sorted(medians, key=medians.get, reverse=True)]
    return (texts[0], ", ".join(texts[1:])) if texts else ("none ran", "")


def row(one):
    ours, others_of_ours = best_and_others(one["gridspot"])
    theirs, others = best_and_others(one["baselines"])
    ratio = one["ratio"]
    text = f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}; {len(ratio['rounds'])})" if ratio else "-"
    return f"| {one['kind']} | {one['preset']}, {one['batch']} | {ours} | {theirs} | {text} | {others_of_ours} | {others} |"


def table(results):
    """Markdown; images per second."""
    lines = ["| work | preset, batch | gridspot, images/s | best baseline | ratio (min to max; rounds) | others of gridspot | other baselines |",
             "|---|---|---|---|---|---|---|", *map(row, results["comparisons"])]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    lines += ["", f"{results['device']}; {results['cpu']}, {results['threads']} threads, load average before "
              f"{results['load_average_before']:.1f}; {versions}"]
    lines += [f"Did not run: {what}: {why}" for what, why in results["did_not_run"].items()]
    return "\n".join(lines)
