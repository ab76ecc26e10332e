#!/usr/bin/env python3
"""Times fathom side by side with PyTorch 2.11.0, on the same machine and in alternating pairs.

    python scripts/compare_pytorch.py step                        updates of four nets, 1 and 2 threads
    python scripts/compare_pytorch.py step --nets resnet-20 --pairs 3 --csv step.csv
    python scripts/compare_pytorch.py step --device cuda          f32, TF32 and bf16, each against the fastest way
    python scripts/compare_pytorch.py sweep                       eight nets, from start to end

What PyTorch runs is scripts/pytorch_peer.py. Every measurement is a process of its own. Which side
comes first alternates from pair to pair, so that what changes slowly (clock rates, neighbours) meets
both alike, and a ratio is taken within each pair: above 1, fathom is faster. Nothing else should run
on the machine meanwhile.

Python 3.11 or later, with torch 2.11.0. Exit code 0: measured; 1: something could not be measured;
2: bad usage.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from pytorch_pairs import (
    LAYOUTS, SIDES, STEP_COLUMNS, STEP_HEADERS, SWEEP_COLUMNS, Log, Refused, last_line, measured_step,
    measured_sweep, median, ratios, short, sides, spread, step_row, table,
)

ROOT = Path(__file__).resolve().parent.parent
PEER = Path(__file__).with_name("pytorch_peer.py")
TORCH = "2.11.0"


class Net(NamedTuple):
    family: str
    depth: int
    width: int
    size: int
    channels: int
    batch: int

    def arguments(self):
        """As both `fathom bench` and pytorch_peer.py understand them."""
        width = "growth" if self.family == "dense" else "width"
        values = {"depth": self.depth, width: self.width, "size": self.size, "channels": self.channels,
                  "batch": self.batch}
        return [self.family, *(word for key, value in values.items() for word in (f"--{key}", str(value)))]


# The first is the deepest net of experiments/quick.toml, the second of experiments/cifar10-small.toml.
NETS = {
    "plain-44-w4-14": Net("plain", 44, 4, 14, 1, 64),
    "plain-44-w8-16": Net("plain", 44, 8, 16, 3, 64),
    "resnet-20": Net("residual", 20, 16, 32, 3, 128),
    "densenet-40-12": Net("dense", 40, 12, 32, 3, 64),
}
PRECISIONS = ("f32", "tf32", "bf16")
# How PyTorch makes an update. The fastest is the one that fathom is compared with.
WAYS = ("eager", "compiled", "recorded")


def layouts_of(who, device, precision):
    """On the CPU and in f32 fathom's sweeps choose between two layouts of which one is its own."""
    of_fathom = device == "cpu" and (who, precision) == ("fathom", "f32")
    return ("channels-last", "batch-last") if of_fathom else LAYOUTS


def asked(options, precision):
    """What is measured in a pair, in turn: (who, layout, way of PyTorch)."""
    theirs = [(SIDES[0], layout, way) for way in options.ways for layout in layouts_of(SIDES[0], options.device, precision)]
    ours = [(SIDES[1], layout, "") for layout in layouts_of(SIDES[1], options.device, precision)]
    return theirs, ours


# --- What can be asked -----------------------------------------------------------------------


def step(options, versions):
    precisions = options.precision or (["f32"] if options.device == "cpu" else PRECISIONS)
    options.ways = options.ways or (["eager"] if options.device == "cpu" else WAYS)
    threads = options.threads or ([1, 2] if options.device == "cpu" else [1])
    log = Log(options.csv, STEP_COLUMNS)
    lines = []
    print(machine(options, versions))
    for name in options.nets:
        for precision in precisions:
            for count in threads:
                begun = len(log.rows)
                for pair in range(1, options.pairs + 1):
                    # The two sides take turns; what is left of the longer one follows.
                    theirs, ours = asked(options, precision)
                    of_sides = zip_longest(*((theirs, ours) if pair % 2 else (ours, theirs)))
                    turns = [turn for turns in of_sides for turn in turns if turn]
                    for place, (who, layout, way) in enumerate(turns, 1):
                        common = [*NETS[name].arguments(), "--threads", str(count), "--layout", layout,
                                  "--precision", precision, "--device", options.device,
                                  "--seconds", str(options.seconds)]
                        command = {"pytorch": [sys.executable, PEER, "step", *common, "--way", way],
                                   "fathom": [options.fathom, "bench", *common, "--format", "json"]}[who]
                        row = {"net": name, "device": options.device, "threads": count, "precision": precision,
                               "layout": layout, "way": way, "pair": pair, "place": place, "who": who,
                               "version": versions[who], **measured_step(command, count)}
                        log.add(row, f"{name}, {precision}, {count} threads, pair {pair}, {who} {way} {layout}")
                lines.append(step_row(log.rows[begun:]))
    table(STEP_HEADERS, lines, options.table)
    peak = "the process's peak" if options.device == "cpu" else "the peak of tensors on the GPU"
    print(f"""
PyTorch, fathom    the fastest way and layout of each side, and the time of an update with its batch: medians
                   over pairs of medians. fathom's sweeps choose the layout by themselves
speed by PyTorch's images/s of fathom's fastest by those of PyTorch's, pair by pair: the median (least to greatest)
by its default     the same by PyTorch eager in nchw
memory             {peak}, fathom's by PyTorch's, of the same two
start s            from a process's start to the end of its first update, PyTorch / fathom, likewise""")
    return log.has_failed()


# The keys of an experiment that the peer mirrors, and those that must have one value for it.
PLAN = {
    "data": {"train", "test", "size", "colour", "source"},
    "network": {"family", "depth", "width", "norm"},
    "training": {"iterations", "batch", "lr", "schedule", "momentum", "weight_decay"},
    "evaluate": {"every", "train_images"},
    "sweep": {"network.family", "network.depth", "seed"},
}
ONLY = {("network", "norm"): "batch", ("training", "schedule"): {"kind": "cosine"}}


def plan(path):
    """What the peer must know of an experiment like quick.toml."""
    try:
        import tomllib
        file = tomllib.loads(path.read_text())
    except ImportError as error:
        raise Refused("this needs Python 3.11 or later, which reads TOML") from error
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: cannot be read: {error}") from error
    for section, known in PLAN.items():
        for key, value in file.get(section, {}).items():
            only = ONLY.get((section, key), value)
            if key not in known or value != only:
                wanted = f"only {only}" if key in known else "only " + ", ".join(sorted(known))
                raise Refused(f"{path}: [{section}] {key}: not in pytorch_peer.py, which has {wanted} there")
    others = {key for key, value in file.items() if isinstance(value, (dict, list))} - PLAN.keys() - {"claim"}
    if others:
        raise Refused(f"{path}: [{min(others)}]: not in pytorch_peer.py")
    try:
        data, training, axes = file["data"], file["training"], file["sweep"]
        nets = [(family, depth) for depth in axes["network.depth"] for family in axes["network.family"]]
        # Left out, these would be defaults of fathom's.
        numbers = {key: training[key] for key in ("iterations", "batch", "lr", "momentum", "weight_decay")}
        found = {"nets": nets, "width": file["network"]["width"], "channels": 3 if data["colour"] else 1,
                 **{key: data[key] for key in ("train", "test", "size")}, **numbers,
                 **{key: file["evaluate"][key] for key in ("every", "train_images")}}
    except KeyError as error:
        raise Refused(f"{path}: {error.args[0]} must be there for pytorch_peer.py") from error
    if not set(axes["network.family"]) <= {"plain", "residual"}:
        raise Refused(f"{path}: network.family: sweeps of pytorch_peer.py are of plain and residual nets")
    if not isinstance(found["every"], int):
        raise Refused(f"{path}: [evaluate] every: pytorch_peer.py needs a number of updates")
    return found


def sweep(options, versions):
    nets = plan(options.experiment)
    if options.keep and options.keep.exists():
        raise Refused(f"{options.keep}: is there already, and --keep makes a new folder")
    log = Log(options.csv, SWEEP_COLUMNS)
    with tempfile.TemporaryDirectory() if not options.keep else nullcontext(options.keep) as folder:
        print(machine(options, versions))
        for pair in range(1, options.pairs + 1):
            here = Path(folder) / f"pair-{pair}"
            here.mkdir(parents=True)
            for place, who in enumerate(sides(pair), 1):
                command = {
                    "pytorch": [sys.executable, PEER, "sweep", "--plan", json.dumps(nets), "--curves",
                                here / "pytorch.csv", "--layout", options.layout],
                    "fathom": [options.fathom, "run", options.experiment, "--set", "seed=0", "--out",
                               here / "fathom", *(["--jobs", str(options.jobs)] if options.jobs else [])],
                }[who]
                found = measured_sweep([*command, "--device", options.device], here / f"{who}.log")
                row = {"experiment": options.experiment.name, "device": options.device, "pair": pair,
                       "place": place, "who": who, "layout": options.layout if who == "pytorch" else "",
                       "version": versions[who], **found}
                log.add(row, f"pair {pair}, {who}")
    ours, theirs = {"who": "fathom"}, {"who": "pytorch"}
    lines = []
    for pair in range(1, options.pairs + 1):
        of_pair = [row for row in log.rows if row["pair"] == pair]
        times = [short(median(of_pair, "seconds", who=who)) for who in SIDES]
        ratio = spread(ratios(of_pair, "seconds", theirs, ours))
        lines.append([f"pair {pair}, {of_pair[0]['who']} first", *times, ratio])
    times = [short(median(log.rows, "seconds", who=who)) for who in SIDES]
    lines.append(["median", *times, spread(ratios(log.rows, "seconds", theirs, ours))])
    for name, label in (("largest_process_mb", "largest process, MB"), ("all_processes_mb", "all processes, MB")):
        values = [short(median(log.rows, name, who=who), 0) for who in SIDES]
        lines.append([label, *values, spread(ratios(log.rows, name, ours, theirs))])
    table((f"{len(nets['nets'])} nets, {nets['iterations']} updates each", "PyTorch", "fathom", "ratio"), lines, options.table)
    print("\nTimes are seconds from start to end of the program; their ratio is PyTorch's by fathom's, that of memory\n"
          f"fathom's by PyTorch's, pair by pair: the median (least to greatest). PyTorch's layout: {options.layout}.")
    return log.has_failed()


# --- The command line ------------------------------------------------------------------------


def versions_of(options):
    """Of both sides, or why one of them cannot run."""
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError as error:
        raise Refused(f"torch is missing: python -m pip install torch=={TORCH}") from error
    if torch.split("+")[0] != TORCH:
        raise Refused(f"torch is {torch}, to be compared is {TORCH}: python -m pip install torch=={TORCH}")
    # What it is built for is not always in the package's version, but matters: the CUDA build starts
    # more slowly and holds more memory, on the CPU too.
    asked = "import torch; print(torch.__version__, torch.cuda.is_available())"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    if said.returncode:
        raise Refused(f"torch cannot be imported: {last_line(said.stderr)}")
    torch, has_cuda = said.stdout.split()
    if options.device != "cpu" and has_cuda != "True":
        raise Refused(f"--device {options.device}: PyTorch {torch} sees no CUDA device")
    try:
        said = subprocess.run([options.fathom, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Refused(f"{options.fathom}: not built: scripts/setup && cargo build --release") from error
    version = said.stdout.strip().removeprefix("fathom ")
    # Of the checkout in which the program lies, as that is what it was built from, if anything.
    asked = ["git", "-C", options.fathom.parent, "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        revision = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        version = f"{version} ({revision})"
    except (OSError, subprocess.CalledProcessError):
        pass
    return {"pytorch": torch, "fathom": version}


def machine(options, versions):
    """What was compared, where."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return (f"PyTorch {versions['pytorch']}, fathom {versions['fathom']}; {options.device}; "
            f"{len(os.sched_getaffinity(0))} cores of {next(names, 'an unknown processor')}\n")


def number(kind, least):
    def parse(text):
        value = kind(text)
        if not value >= least:
            raise argparse.ArgumentTypeError(f"{text}: must be at least {least}")
        return value
    parse.__name__ = kind.__name__
    return parse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("step", help="updates of single nets",
                              description="Times updates of nets with either layout of activations, which PyTorch's "
                              "users choose by hand, and prints the speed of fathom's better one by that of PyTorch's.")
    one.set_defaults(run=step)
    one.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), metavar="NAME",
                     help=f"which of {', '.join(NETS)} [default: all]")
    one.add_argument("--threads", nargs="+", type=number(int, 1), metavar="N",
                     help="threads of one process; several are compared each [default: 1 2, on cuda 1]")
    one.add_argument("--seconds", type=number(float, 0.01), default=3.0,
                     help="for how long updates are timed in each process [default: 3]")
    one.add_argument("--precision", nargs="+", choices=PRECISIONS,
                     help="f32 [default on cpu]; bf16, which is autocast in PyTorch; on cuda also tf32 [default on "
                     "cuda: all three]")
    one.add_argument("--ways", nargs="+", choices=WAYS,
                     help="PyTorch eager [default on cpu], compiled with mode=max-autotune, and recorded as a CUDA "
                     "graph by hand [default on cuda: all three]; the fastest is compared with fathom")
    many = commands.add_parser("sweep", help="a whole experiment of small nets",
                               description="Runs one seed of an experiment with `fathom run`, and the same nets with "
                               "the same updates and evaluations one after another in one PyTorch process, which has "
                               "its default number of threads. PyTorch's images are random bytes.")
    many.set_defaults(run=sweep)
    many.add_argument("--experiment", type=Path, default=ROOT / "experiments" / "quick.toml", metavar="FILE",
                      help="plain and residual nets on images of `shapes` [default: experiments/quick.toml]")
    many.add_argument("--layout", choices=LAYOUTS, default="nchw",
                      help="PyTorch's [default: nchw]; fathom chooses its own")
    many.add_argument("--jobs", type=number(int, 1), metavar="N",
                      help="runs side by side, of fathom [default: fathom's, one per core or GPU]")
    many.add_argument("--keep", type=Path, metavar="DIR", help="leave curves and logs there; a new folder")
    for command, pairs in ((one, 5), (many, 3)):
        command.add_argument("--pairs", type=number(int, 1), default=pairs, metavar="N", help=f"[default: {pairs}]")
        command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:0 [default: cpu]")
        command.add_argument("--fathom", type=Path, default=ROOT / "target" / "release" / "fathom", metavar="FILE",
                             help="the program [default: target/release/fathom]")
        command.add_argument("--csv", type=Path, metavar="FILE", help="write every single measurement, one row each")
        command.add_argument("--table", type=Path, metavar="FILE", help="write the printed table as CSV")
    options = parser.parse_args()
    if options.device == "cpu" and "tf32" in (getattr(options, "precision", None) or []):
        one.error("--precision tf32 is compared on cuda only")
    if options.device == "cpu" and "recorded" in (getattr(options, "ways", None) or []):
        one.error("--ways recorded is for cuda only")
    return options


def main():
    options = arguments()
    # A bare name would be looked for on the search path.
    options.fathom = options.fathom.absolute()
    return options.run(options, versions_of(options))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        print(f"compare_pytorch: error: {refused}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
