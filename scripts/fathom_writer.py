"""Writes runs that fathom reads (docs/format.md). Needs nothing but Python: copy the class.

    run = Run("results/mine", {"network.family": "plain", "network.depth": 20, "seed": 0}, classes=10)
    run.row(step=0, train_err_pct=90.0, test_err_pct=90.0)
    run.row(step=100, train_err_pct=42.0, test_err_pct=45.5, lr=0.1)
    run.done()

Then: fathom plot results/mine, and with an experiment.toml that has [[claim]] tables, fathom check.
"""

import csv
import json
import time
from pathlib import Path

COLUMNS = ("schema step epoch lr train_loss train_err_pct train_images train_loss_running "
           "train_err_running_pct train_err_fresh_pct test_loss test_err_pct test_images "
           "validation_loss validation_err_pct seconds").split()


class Run:
    """One run. `config` holds dotted keys, a seed among them; `axes` those that tell runs apart."""

    def __init__(self, results, config, axes=None, classes=0, parameters=0):
        values = [str(value) for key, value in sorted(config.items()) if key != "seed"]
        self.id = "-".join([*values, f"s{config['seed']}"]).replace("/", "_")
        self.folder = Path(results) / "runs" / self.id
        self.folder.mkdir(parents=True)
        self.begun, self.step = time.monotonic(), 0
        self._json("run.json", id=self.id, axes=axes or sorted(config), config=config,
                   data={"classes": classes}, parameters=parameters)
        self.file = open(self.folder / "curve.csv", "w", newline="")
        self.csv = csv.DictWriter(self.file, COLUMNS, restval="", lineterminator="\n")
        self.csv.writeheader()

    def _json(self, name, **values):
        (self.folder / name).write_text(json.dumps({"schema": 1, **values}, indent=2) + "\n")

    def row(self, step, **values):
        """One evaluation; absent columns stay empty."""
        self.step = step
        seconds = round(time.monotonic() - self.begun, 3)
        always = {"schema": 1, "epoch": 0, "lr": 0, "train_images": 0, "test_images": 0}
        self.csv.writerow({**always, "seconds": seconds, **values, "step": step})
        self.file.flush()

    def done(self, state="done"):
        """The end: `done`, or `diverged` where the loss is no number any more."""
        self.file.close()
        self._json("status.json", state=state, step=self.step)
