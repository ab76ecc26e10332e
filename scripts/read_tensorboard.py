#!/usr/bin/env python3
"""Reads exported event files with TensorBoard's own reader and holds them against the CSV.

    fathom export results/x --tensorboard events
    python scripts/read_tensorboard.py results/x events      needs: pip install tensorboard
"""

import csv
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = {"train/loss": "train_loss", "train/error": "train_err_pct", "test/loss": "test_loss",
        "test/error": "test_err_pct", "train/lr": "lr", "train/error_running": "train_err_running_pct"}


def main(results, events):
    compared = 0
    for folder in sorted(Path(events).iterdir()):
        found = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        with open(Path(results, "runs", folder.name, "curve.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        for tag, column in TAGS.items():
            wanted = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
            there = tag in found.Tags()["scalars"]
            read = [(event.step, event.value) for event in found.Scalars(tag)] if there else []
            assert [step for step, _ in read] == [step for step, _ in wanted], (folder.name, tag)
            for (_, a), (_, b) in zip(read, wanted):
                same = math.isclose(a, b, rel_tol=1e-6) or math.isnan(a) and math.isnan(b) or a == b
                assert same, (folder.name, tag, a, b)
                compared += 1
    print(f"{compared} values of {len(list(Path(events).iterdir()))} runs are as in the CSV")
    return 0 if compared else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
