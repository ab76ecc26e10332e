"""The stage `contact`: does everything work here, and how fast is it?"""

import sys

from .box import Failed
from .programs import ROOT


def doctor(box):
    output = box.out / "doctor.txt"
    try:
        box.run("doctor", [box.fathom, "doctor"], output=output)
    finally:
        print(output.read_text(), end="", flush=True)
    return True


def cuda_check(box):
    """All ways of training, and runs that are stopped and resumed."""
    output = box.out / "cuda-check.txt"
    words = ["--arms", "lenet,mlp-rmsprop"] if box.options.rehearse else []
    try:
        box.run("cuda-check", [sys.executable, ROOT / "scripts" / "cuda-check", box.out / "cuda-check", "--device",
                               box.options.device, "--fathom", box.fathom, *words], output=output)
    except Failed as error:
        # Where it could not even begin it says why on its standard error.
        if "verdict" not in output.read_text():
            raise
        raise Failed("ways of training differ: see cuda-check.txt") from error
    finally:
        print(output.read_text(), end="", flush=True)
    return True


def speed(box, precision, layout):
    """Milliseconds of a recorded update of ResNet-20 and ResNet-56, by depth."""
    rows = box.bench(f"contact-{precision}", ["residual", "--over", "depth=20,56"], "--precision", precision,
                     "--layout", layout)
    rows = [row for row in rows if not row.get("failure")]
    for row in rows:
        box.say(f"ResNet-{row['depth']}, batch {row['batch']}, {precision}, {layout}, recorded: "
                f"{row['step_ms']:.2f} ms an update")
    return {str(row["depth"]): row["step_ms"] for row in rows}


def stage(box):
    box.once("contact: doctor", lambda: doctor(box))
    box.once("contact: cuda-check", lambda: cuda_check(box), least=20)
    box.once("contact: speed in bf16", lambda: speed(box, "bf16", "channels-last"), least=10)
    box.once("contact: speed in f32", lambda: speed(box, "f32", "nchw"), least=10)
