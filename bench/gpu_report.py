"""The report of ./dev gpu: what its parts have left in a folder as one JSON and one Markdown file."""
import json
import re

from comparison import table as comparison_table
from targets import targets

PARTS = ("check", "bench", "compare")


def merged(folder):
    """The parts that are there; of several GPUs those of the one that was measured last."""
    parts = [json.loads(path.read_text()) for part in PARTS for path in [folder / f"{part}.json"] if path.exists()]
    if not parts:
        return None
    latest = max(parts, key=lambda part: part["time"])
    results = {"gpu": latest["gpu"], "date": latest["time"][:10], **{part["part"]: part for part in parts if part["gpu"] == latest["gpu"]}}
    return {**results, "targets": targets(results)}


def write(results, folder):
    """To <gpu>-<date>.json and .md; returns the latter."""
    slug = re.sub("[^a-z0-9]+", "-", results["gpu"].lower()).strip("-")
    stem = folder / f"{slug}-{results['date']}"
    stem.with_name(stem.name + ".json").write_text(json.dumps(results, indent=1) + "\n")
    markdown = stem.with_name(stem.name + ".md")
    markdown.write_text(report(results))
    return markdown


def table(title, header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return f"\n## {title}\n" + "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n" if rows else ""


def rounded(value):
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def failures(part):
    return [step for step in part["steps"] if step["result"] != "passed"]


def engine_rows(engine):
    rows = []
    tuned = ", autotuned" if engine["autotune"] else ""
    tuned += f", {engine['steps_per_launch']} steps a launch" if engine["steps_per_launch"] > 1 else ""
    tuned += ", next scene beside the optimiser" if engine["overlap"] else ""
    tuned += "".join(f", {setting}" for setting in engine["settings"])
    for preset in engine["presets"]:
        for kind, key, unit in (("training", "canvases_per_second", "canvases/s"), ("detection", "milliseconds", "ms")):
            for measured in preset[kind]:
                what = f"{kind}, batch {measured['batch']}"
                if "failure" in measured:
                    rows.append([preset["preset"], what, measured["failure"], "", ""])
                    continue
                figures = measured[key]
                shares = ", ".join(f"{name} {100 * stage['share_of_time']:.0f}% ({100 * stage['share_of_floor']:.0f}%)"
                                   for name, stage in measured["stages"].items())
                rows.append([preset["preset"], f"{what}, {measured['precision']}{tuned}", f"{rounded(figures['median'])} {unit}",
                             " to ".join(map(rounded, figures["quartiles"])), shares])
    return rows


def copy_bandwidth(engines):
    """GB/s, the best that was measured."""
    return max(ceilings["copy_gigabytes_per_second"] for engine in engines for ceilings in engine["ceilings"].values())


def report(results):
    check, bench, compare = (results.get(part, {}) for part in PARTS)
    text = f"# {results['gpu']}, {results['date']}\n"
    for part in filter(None, (check, bench, compare)):
        versions = ", ".join(f"{name} {version}" for name, version in part["versions"].items())
        text += (f"\n`./dev gpu {part['part']}`: {part['seconds']:.0f} s, {len(failures(part))} of {len(part['steps'])} steps failed; "
                 f"{versions}\n")
    text += table("Targets", ["work", "measured", "at least", "aim", ""],
                  [[row["work"], row["measured"], row["at_least"], row["aim"], row["verdict"]] for row in results["targets"]])
    text += table("Failed", ["step", "result", "why"],
                  [[step["name"], step["result"], step.get("why", "").replace("\n", " ").replace("|", "\\|")]
                   for part in filter(None, (check, bench, compare)) for step in failures(part)])
    text += table("Tests on the GPU", ["program", "run", "failed", "skipped", "seconds", "result"],
                  [[t["name"], t["run"], " ".join(t["failed"]) or 0, t["skipped"], t["seconds"], t["result"]] for t in check.get("tests", [])])
    text += table("Training", ["what", "seconds", "result", "more"],
                  [[t["name"], t["seconds"], t["result"], ", ".join(f"{key} {value}" for key, value in t.items()
                                                                   if key not in ("name", "seconds", "result"))]
                   for t in check.get("trainings", [])])
    engines = bench.get("engines", [])
    text += table("Engine", ["preset", "what", "median", "quartiles", "share of time (floor's share of it)"],
                  [row for engine in engines for row in engine_rows(engine)])
    text += table("Ceilings", ["precision", "GB/s", "TFLOP/s"],
                  [[precision, f"{ceilings['copy_gigabytes_per_second']:.0f}", f"{ceilings['product_teraflops']:.1f}"]
                   for engine in engines for precision, ceilings in engine["ceilings"].items()])
    text += table("Kernels", ["kernel", "time", "least traffic", "share of the bandwidth of a copy"],
                  [[row["name"], f"{rounded(row['real_time'])} {row['time_unit']}", f"{rounded(row['floor'] / 1e9)} GB/s",
                    f"{row['floor'] / 1e9 / copy_bandwidth(engines):.0%}" if engines else ""]
                   for row in bench.get("kernels", []) if "floor" in row])
    text += table("compute-sanitizer", ["run", "result", "seconds"],
                  [[s["name"], s["result"], s["seconds"]] for s in check.get("sanitizers", [])])
    for comparison in compare.get("comparisons", []):
        text += "\n## Beside PyTorch\n" + comparison_table(comparison) + "\n"
    return text
