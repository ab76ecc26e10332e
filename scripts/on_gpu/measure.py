"""The stage `measure`: how fast each way of training is, beside PyTorch."""

import subprocess

from .fig6 import JOBS
from .programs import ROOT

EAGER = ["--no-graphs", "--no-resident"]
# Arguments of `fathom bench` for each way of training; what matters most comes first, as the time may end anywhere.
WAYS = {
    "recorded-bf16": ["--precision", "bf16", "--layout", "channels-last"],
    "recorded-bf16-not-fused": ["--precision", "bf16", "--layout", "channels-last", "--no-fused"],
    "recorded-f32": ["--precision", "f32", "--layout", "nchw"],
    "eager-f32": [*EAGER, "--precision", "f32", "--layout", "nchw"],
    "recorded-tf32": ["--precision", "tf32", "--layout", "channels-last"],
    "resident-f32": ["--no-graphs", "--precision", "f32", "--layout", "nchw"],
    "recorded-f32-last": ["--precision", "f32", "--layout", "channels-last"],
}
NETS = {
    "resnet": ["residual", "--over", "depth=20,56"],
    "densenet": ["dense", "--depth", "40", "--growth", "12", "--batch", "64"],
}
PRECISIONS = ("bf16", "tf32", "f32")


def described(row):
    return f"{row['network']}-{row['depth']}" if row.get("depth") else row["network"]


def way(box, net, name):
    rows = box.bench(f"{net}-{name}", NETS[net], *WAYS[name])
    for row in rows:
        if not row.get("failure"):
            box.say(f"  {described(row)}: {row['step_ms']:.2f} ms, {row['images_per_s']:.0f} images/s, "
                    f"{row['peak_memory_mb']:.0f} MB, first update after {row['startup_s']:.1f} s")
    return True


def side_by_side(box, jobs):
    rows = box.bench(f"side-by-side-{jobs}", NETS["resnet"], *WAYS["recorded-bf16"], "--jobs", jobs)
    for row in rows:
        if not row.get("failure"):
            box.say(f"  {described(row)}, {jobs} side by side: {row['images_per_s']:.0f} images/s")
    return True


def has_torch(box):
    """Whether the Python has a PyTorch that sees the device; said once."""
    asked = "import torch; print(torch.__version__, torch.cuda.is_available())"
    try:
        said = subprocess.run([box.python, "-c", asked], capture_output=True, text=True, check=True, timeout=120)
    except (OSError, subprocess.SubprocessError):
        return False
    return said.stdout.split()[-1:] == ["True"]


def compared(box, precision):
    """fathom beside PyTorch, in pairs of alternating order, each in both layouts. Compiling a net takes
    minutes in each process, so PyTorch's updates are eager and recorded as a CUDA graph."""
    table = box.out / "bench" / f"pytorch-{precision}.csv"
    output = box.out / "bench" / f"pytorch-{precision}.txt"
    table.unlink(missing_ok=True)
    names = ["resnet-20"] if box.options.rehearse else ["resnet-20", "densenet-40-12"]
    pairs = "1" if box.options.rehearse else "2"
    box.run(f"pytorch-{precision}", [box.python, ROOT / "scripts" / "compare_pytorch.py", "step", "--device",
                                     box.options.device, "--nets", *names, "--precision", precision, "--pairs", pairs,
                                     "--ways", "eager", "recorded", "--seconds", "2", "--fathom", box.fathom,
                                     "--csv", table], output=output)
    print(output.read_text(), end="", flush=True)
    return True


def kernels(box, precision):
    """PyTorch's kernels of one update, by its profiler."""
    output = box.out / "bench" / f"pytorch-kernels-{precision}.csv"
    box.run(f"kernels-{precision}", [box.python, ROOT / "scripts" / "on_gpu" / "kernels.py", precision, "--device",
                                     box.options.device], output=output)
    lines = output.read_text().splitlines()
    box.say(f"  {len(lines) - 1} kinds of kernels; {output.name}")
    return True


def stage(box):
    for name in WAYS:
        for net in NETS:
            box.once(f"measure: {net}, {name}", lambda net=net, name=name: way(box, net, name), least=15)
    for jobs in JOBS[:2] if box.options.rehearse else JOBS:
        box.once(f"measure: {jobs} side by side", lambda jobs=jobs: side_by_side(box, jobs), least=20)
    if not has_torch(box):
        box.rows.append(["measure: PyTorch", "left out", "", f"{box.python} has no torch that sees the GPU"])
        return
    for precision in PRECISIONS:
        box.once(f"measure: PyTorch, {precision}", lambda precision=precision: compared(box, precision), least=40)
    for precision in ("f32", "bf16"):
        box.once(f"measure: PyTorch's kernels, {precision}", lambda precision=precision: kernels(box, precision),
                 least=15)
