"""Results of `fathom run`, read for a comparison: curves, and the weights at the end."""

import array
import csv
import json
import math

LOSSES = ("train_loss", "train_loss_running", "validation_loss", "test_loss")


class Run:
    """One run: its arm, its folder, the rows of its curve by step."""

    def __init__(self, folder):
        self.folder = folder
        self.arm = json.loads((folder / "run.json").read_text())["arm"]
        with (folder / "curve.csv").open(newline="") as file:
            self.rows = {int(row["step"]): row for row in csv.DictReader(file)}

    def curve(self):
        """The curve's bytes without the clock."""
        return [[value for name, value in row.items() if name != "seconds"] for row in self.rows.values()]

    def weights(self):
        """Bytes of the weights at the end."""
        return (self.folder / "checkpoint.safetensors").read_bytes()


def state_of(folder):
    """State and last step of a run's folder, before its first row pending and 0."""
    try:
        status = json.loads((folder / "status.json").read_text())
        return status["state"], status["step"]
    except (OSError, ValueError, KeyError):
        return "pending", 0


def last_step(folder):
    """The step of the last whole row of a curve that may be growing."""
    try:
        lines = (folder / "curve.csv").read_text().split("\n")[:-1]
        return int(lines[-1].split(",")[lines[0].split(",").index("step")])
    except (OSError, ValueError, IndexError):
        return 0


def runs_of(results):
    """Finished runs of a results directory by arm."""
    folders = sorted(path.parent for path in results.glob("runs/*/status.json"))
    found = (Run(folder) for folder in folders if state_of(folder)[0] == "done")
    return {run.arm: run for run in found}


def tensors(data):
    """The f32 tensors of a safetensors file by name."""
    end = 8 + int.from_bytes(data[:8], "little")
    found = {}
    for name, about in json.loads(data[8:end]).items():
        if name != "__metadata__" and about["dtype"] == "F32":
            start, stop = about["data_offsets"]
            found[name] = array.array("f", data[end + start : end + stop])
    return found


def apart(one, other):
    """How far numbers are from others, relative to these: infinite where they cannot be compared."""
    if one.keys() != other.keys() or any(len(one[name]) != len(other[name]) for name in one):
        return math.inf
    difference = sum((a - b) ** 2 for name in one for a, b in zip(one[name], other[name]))
    size = sum(value * value for name in other for value in other[name])
    found = math.sqrt(difference / size) if size else math.sqrt(difference)
    return found if math.isfinite(found) else math.inf


def differences(run, reference):
    """How far a run is from another one: relative differences, the largest over steps and columns.

    start: of the untrained net's losses; losses: after that; weights, averages: of what is trained,
    and of the normalisations' averages, after the last update.
    """
    found = {"start": 0.0, "losses": 0.0}
    if run.rows.keys() != reference.rows.keys():
        return dict.fromkeys((*found, "weights", "averages"), math.inf)
    for step, row in reference.rows.items():
        other, kind = run.rows[step], "losses" if step else "start"
        for column in LOSSES:
            if row[column] or other[column]:
                share = relative(other[column], row[column])
                found[kind] = max(found[kind], share)
    ours, theirs = tensors(run.weights()), tensors(reference.weights())
    for kind, is_average in (("weights", False), ("averages", True)):
        found[kind] = apart(*({name: values for name, values in side.items() if (".running_" in name) == is_average}
                              for side in (ours, theirs)))
    return found


def relative(one, other):
    """Of two numbers as text; infinite where one is missing or none."""
    try:
        share = abs(float(one) / float(other) - 1)
    except (ValueError, ZeroDivisionError):
        return math.inf
    return share if math.isfinite(share) else math.inf
