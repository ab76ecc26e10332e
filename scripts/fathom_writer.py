"""Writes runs that fathom reads (docs/format.md). Needs nothing but Python: copy the file.

    run = Run("results/mine", {"network.family": "plain", "network.depth": 20, "seed": 0}, classes=10)
    run.row(step=0, train_err_pct=90.0, test_err_pct=90.0)
    run.row(step=100, train_err_pct=42.0, test_err_pct=45.5, lr=0.1)
    run.done()

Then: fathom plot results/mine, and with an experiment.toml that has [[claim]] tables, fathom check.
Scalars of NumPy and PyTorch are written as plain numbers. What fathom would not read is refused at once.
"""

import csv
import json
import math
import time
from pathlib import Path

COLUMNS = ("schema step epoch lr train_loss train_err_pct train_images train_loss_running "
           "train_err_running_pct train_err_fresh_pct test_loss test_err_pct test_images "
           "validation_loss validation_err_pct seconds").split()


def plain(value, place, finite=True):
    """The value in types that JSON has; `place` names it in errors."""
    if isinstance(value, (list, tuple)):
        return [plain(item, place) for item in value]
    if hasattr(value, "item"):  # NumPy and PyTorch
        try:
            value = value.item()
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{place} is an array, not a single number") from error
    if not (value is None or isinstance(value, (bool, int, float, str))):
        raise TypeError(f"{place} is a {type(value).__name__}; give a number, text or list")
    if finite and isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place} is {value}, which JSON lacks; leave it out")
    return value


def number(value, place):
    """The value as a number of a row; None where it was not measured."""
    value = plain(value, place, finite=False)
    if isinstance(value, (str, list)):
        raise TypeError(f"{place} is {value!r}, not a number")
    if place.endswith("_pct") and value is not None and not math.isnan(value) and not -1e-3 <= value <= 100.001:
        raise ValueError(f"{place} is {value}; expected per cent from 0 to 100")
    return value


class Run:
    """One run. `config` holds dotted keys, a seed among them; `axes` those that tell runs apart."""

    def __init__(self, results, config, axes=None, classes=0, parameters=0):
        config = {key: plain(value, f"config: {key}") for key, value in config.items()}
        seed = config.get("seed")
        if type(seed) is not int or not -2**63 <= seed < 2**64:
            raise ValueError(f"config: seed is {seed!r}; expected an integer")
        values = [str(value) for key, value in sorted(config.items()) if key != "seed"]
        self.id = "-".join([*values, f"s{seed}"]).replace("/", "_")
        self.folder = Path(results) / "runs" / self.id
        self.begun, self.step = time.monotonic(), -1
        # All that can be refused is refused before there is a folder.
        manifest = self._json(id=self.id, axes=axes or sorted(config), config=config,
                              data={"classes": plain(classes, "classes")},
                              parameters=plain(parameters, "parameters"))
        curve = self.folder / "curve.csv"
        if curve.exists() and len(curve.read_text().splitlines()) > 1:
            raise FileExistsError(f"{self.folder} has a curve already: remove it to train again")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "status.json").unlink(missing_ok=True)
        (self.folder / "run.json").write_text(manifest)
        self.file = open(curve, "w", newline="")
        self.csv = csv.DictWriter(self.file, COLUMNS, restval="", lineterminator="\n")
        self.csv.writeheader()
        self.file.flush()

    @staticmethod
    def _json(**values):
        return json.dumps({"schema": 1, **values}, indent=2, allow_nan=False) + "\n"

    def row(self, step, **values):
        """One evaluation; absent columns stay empty. Steps ascend."""
        step = plain(step, "step")
        if type(step) is not int or step <= self.step:
            raise ValueError(f"step is {step!r}; expected an integer above {self.step}")
        if unknown := [name for name in values if name not in COLUMNS]:
            raise ValueError(f"no column {unknown[0]}; there are {', '.join(COLUMNS)}")
        values = {name: number(value, name) for name, value in values.items()}
        seconds = round(time.monotonic() - self.begun, 3)
        always = {"schema": 1, "epoch": 0, "lr": 0, "train_images": 0, "test_images": 0}
        self.csv.writerow({**always, "seconds": seconds, **values, "step": step})
        self.file.flush()
        self.step = step

    def done(self, state="done"):
        """The end: `done`, or `diverged` where the loss is no number any more."""
        self.file.close()
        status = self._json(state=state, step=max(self.step, 0))
        (self.folder / "status.json").write_text(status)
