//! `fathom_writer.py`: scalars of NumPy and PyTorch, and what it refuses.

use super::python;
use crate::support::succeed;

/// Scalars that behave as those of NumPy and PyTorch do, which need not be installed.
const SCALARS: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from fathom_writer import Run

class Scalar:
    def __init__(self, *values): self.values = values
    def item(self):
        if len(self.values) != 1: raise ValueError("can only convert an array of size 1")
        return self.values[0]

def refused(expected, action):
    try: action()
    except (TypeError, ValueError) as error: assert expected in str(error), error
    else: raise AssertionError(expected)

def config(**more): return {"network.family": "plain", "network.depth": Scalar(8), "seed": Scalar(0), **more}

nan = float("nan")
for expected, more in [
    ("config: lr is nan, which JSON lacks", {"lr": nan}),
    ("config: lr is inf, which JSON lacks", {"lr": [1, Scalar(float("inf"))]}),
    ("config: lr is an array, not a single number", {"lr": Scalar(1, 2)}),
    ("config: root is a PosixPath; give a number", {"root": Path("a")}),
    ("config: seed is 1.0; expected an integer", {"seed": Scalar(1.0)}),
    ("config: seed is None; expected an integer", {"seed": None}),
]:
    refused(expected, lambda: Run("mine", config(**more)))
    assert not Path("mine").exists(), "a folder is left"

Run("mine", config(), classes=Scalar(10))  # Lost before its first row, and begun again:
run = Run("mine", config(), classes=Scalar(10), parameters=Scalar(7))
run.row(Scalar(0), train_err_pct=Scalar(90.5), train_loss=nan)
for expected, step, row in [
    ("step is 0; expected an integer above 0", 0, {}),
    ("step is 1.5; expected an integer above 0", 1.5, {}),
    ("train_err_pct is an array, not a single number", 1, {"train_err_pct": Scalar()}),
    ("train_err_pct is 'low', not a number", 1, {"train_err_pct": "low"}),
    ("train_err_pct is 301; expected per cent from 0 to 100", 1, {"train_err_pct": 301}),
    ("no column accuracy; there are schema, step,", 1, {"accuracy": 1}),
]:
    refused(expected, lambda: run.row(step, **row))
run.row(Scalar(10), train_err_pct=Scalar(40.0), test_err_pct=None)
run.done()
try: Run("mine", config())
except FileExistsError as error: assert "has a curve already" in str(error), error
else: raise AssertionError("a curve is lost")
Run("mine", config(seed=1))
"#;

#[test]
fn the_writer_takes_scalars_and_refuses_at_once_what_cannot_be_read() {
    let Some(folder) = python(SCALARS) else { return };
    let status = succeed(folder.path(), &["status", "mine", "--format", "csv"]);
    let [_, done, pending] = status.lines().collect::<Vec<_>>()[..] else { panic!("{status}") };
    assert!(done.starts_with("8-plain-s0,done,10,,40.0,"), "{done}");
    assert!(pending.starts_with("8-plain-s1,pending,0,"), "{pending}");
    assert!(pending.ends_with(",its program writes status.json when it ends"), "{pending}");
    succeed(folder.path(), &["plot", "mine", "--format", "svg"]);
}
