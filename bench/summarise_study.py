"""The figures of a finished study as one small JSON object for bench/results/: what was run, where, and what came out.

    python bench/summarise_study.py build/release/gridspot STUDY "gridspot study --preset small --recipe best --out STUDY"
"""
import json
import subprocess
import sys


def main():
    program, study, command = sys.argv[1:]
    report = json.loads(subprocess.run([program, "report", study, "--json"], check=True, capture_output=True).stdout)
    about = json.loads(subprocess.run([program, "info", "--json"], check=True, capture_output=True).stdout)
    results = []
    for model in report["models"]:
        for evaluation in model["evaluations"]:
            results.append({"model": model["name"], "backbone": model["backbone"],
                            **{key: evaluation[key] for key in ("epoch", "protocol", "class_accuracy", "mAP50", "mAP50_95")}})
    backbones = [{"name": backbone["name"], "seconds": backbone["training"].get("seconds"),
                  **{key: value for result in backbone["classifications"] for key, value in result.items()
                     if key in ("protocol", "task", "canvases", "accuracy", "exact_match", "macro_F1") and value is not None}}
                 for backbone in report["backbones"]]
    print(json.dumps({"command": command, "cpu": about["cpu"], "processors": about["processors"], "gridspot": about["version"],
                      "libraries": about["libraries"], "study": report["study"],
                      "training_seconds": {model["name"]: model["training"].get("seconds") for model in report["models"]},
                      "results": results, "backbones": backbones,
                      "findings": [finding["text"] for finding in report["findings"]]}, indent=2))


if __name__ == "__main__":
    main()
