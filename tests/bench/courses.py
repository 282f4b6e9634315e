#!/usr/bin/env python3
"""Courses of validation accuracy in a few numbers: start, mean, ends of stages, end; mean and deviation over runs.

    courses.py RUN...    of Lockstep's runs, one a seed; vision_reference.py prints the same of PyTorch's
"""
import csv
import json
import sys
from pathlib import Path

import numpy as np
import yaml


def summary(course, ema_course, stage_ends):
    """Accuracies of all epochs (and the EMA's, or none); stage_ends: name of a stage -> epochs until its end."""
    numbers = {"start": course[0], "mean": float(np.mean(course))}
    numbers |= {f"after {name}": course[n - 1] for name, n in stage_ends.items()}
    numbers["end"] = course[-1]
    return numbers | ({"ema end": ema_course[-1]} if ema_course else {})


def print_spread(results):
    for key in results[0]:
        values = np.array([r[key] for r in results], np.float64)
        if key != "seed":
            print(f"{key:12} {values.mean():.4f} +- {values.std(ddof=1) if len(values) > 1 else 0:.4f}")


def of_run(run):
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    rows = list(csv.DictReader(open(run / "metrics.csv", newline="")))
    course = [float(r["validation.accuracy"]) for r in rows]
    ema = [float(r["ema.validation.accuracy"]) for r in rows if "ema.validation.accuracy" in r]
    ends, n = {}, 0
    for stage in recipe.get("stages") or []:
        n += stage.get("epochs", recipe["train"]["epochs"])
        ends[stage["name"]] = n
    result = {"seed": recipe["run"]["seed"]} | summary(course, ema, ends)
    return result | {"seconds": json.loads((run / "summary.json").read_text())["seconds"]}


def main():
    results = [of_run(Path(name)) for name in sys.argv[1:]]
    for result in results:
        print(json.dumps(result))
    print_spread(results)


if __name__ == "__main__":
    main()
