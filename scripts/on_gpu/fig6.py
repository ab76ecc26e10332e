"""The stage `fig6`: He et al. 2015's Fig. 6, with as many iterations and seeds as the time allows."""

import json
import time

from .box import Failed, GoesOn, TimeIsUp
from .curves import state_of
from .programs import ROOT

FULL, QUARTER = "cifar10-paper", "cifar10-paper-quarter"
SEEDS = 5
# What must fit for the paper's schedule to be taken; then the rest of the figure.
CORE = [("plain", 20), ("residual", 20), ("plain", 56), ("residual", 56)]
REST = [("plain", 32), ("residual", 32), ("plain", 44), ("residual", 44)]
JOBS = (1, 2, 4, 8)
# More runs side by side pay when together they do so much more.
PAYS = 1.1
# Estimates are trusted so far.
CAUTION = 1.15
REHEARSAL = {"training.iterations": 24, "training.batch": 16, "network.width": 4, "data.train": 480, "data.test": 100,
             "data.size": 16, "evaluate.train_images": 100, "training.schedule.at": "[12,18]"}


# --- Decisions, from numbers alone ---------------------------------------------------------


def jobs_that_pay(speeds):
    """Runs side by side, from images per second of all of them together by their number."""
    best = 1
    for jobs in sorted(speeds):
        if jobs > best and speeds[jobs] >= PAYS * speeds.get(best, 0):
            best = jobs
    return best


def seconds_of(depth, measured):
    """Of a run of this depth: linear between those of 20 and 56 layers."""
    return measured[20] + (measured[56] - measured[20]) * (depth - 20) / 36


def groups(nets, jobs):
    """Nets in their order, so many side by side at a time."""
    return [nets[first : first + jobs] for first in range(0, len(nets), jobs)]


def time_for(nets, measured, jobs):
    """Seconds for nets of one seed: a group takes as long as its deepest net."""
    return sum(max(seconds_of(depth, measured) for _, depth in group) for group in groups(nets, jobs))


def schedule_for(measured, jobs, left):
    """The experiment: the paper's where its core fits into the seconds that are left."""
    return FULL if CAUTION * time_for(CORE, measured, jobs) <= left else QUARTER


def plan(done, jobs, seeds=SEEDS):
    """Groups of (family, depth, seed) to run one after the other, without those that are done. The
    core of the first seed comes first, then the rest of the figure, then the next seed."""
    found = []
    for seed in range(seeds):
        for nets in (CORE, REST):
            left = [(family, depth, seed) for family, depth in nets if (family, depth, seed) not in done]
            found += groups(left, jobs)
    # Where more runs pay than the core has, the rest of the figure runs beside it.
    merged = []
    for group in found:
        if merged and merged[-1][0][2] == group[0][2] and len(merged[-1]) + len(group) <= jobs:
            merged[-1] = merged[-1] + group
        else:
            merged.append(group)
    return merged


def globs(group):
    """Patterns of run ids that together match just these runs: one for each `fathom run`.

    Runs of one depth and seed, or of both families, are told by one pattern.
    """
    families = {family for family, _, _ in group}
    depths = {depth for _, depth, _ in group}
    seeds = {seed for _, _, seed in group}
    if len(group) == len(families) * len(depths) * len(seeds) and len(seeds) == 1:
        family = families.pop() if len(families) == 1 else "*"
        tens, ones = ("".join(sorted({str(depth)[place] for depth in depths})) for place in (0, 1))
        matched = {depth for depth in (20, 32, 44, 56) if str(depth)[0] in tens and str(depth)[1] in ones}
        if matched == depths:
            return [f"{family}-[{tens}][{ones}]-*s{seeds.pop()}-*"]
    return [f"{family}-{depth}-*s{seed}-*" for family, depth, seed in group]


# --- The stage -----------------------------------------------------------------------------


def stage(box):
    if box.run("data-verify", [box.fathom, "data", "verify", "cifar10"], accept=(0, 1)) == 1:
        box.rows.append(["fig6", "not begun", "", "CIFAR-10 is missing"])
        raise GoesOn(f"CIFAR-10 is not whole in {box.options.data}: the stage data says what is missing")
    jobs = box.options.jobs or box.once("fig6: runs side by side", lambda: trial(box), least=60) or 1
    name = box.options.schedule or box.recall("fig6: schedule")
    if not name:
        measured = box.once("fig6: seconds of a run", lambda: seconds_of_runs(box, jobs), least=60)
        if not measured:
            return
        measured = {int(depth): seconds for depth, seconds in measured.items()}
        name = schedule_for(measured, jobs, box.left())
        box.remember("fig6: schedule", name)
        box.say(f"a run of 20 layers takes {measured[20]:.0f} s of the paper's schedule, one of 56 "
                f"{measured[56]:.0f} s, with {jobs} side by side")
    box.say(f"{name}: {jobs} side by side; {box.left():.0f} s are left")
    refuse_other_build(box, name)
    try:
        sweep(box, name, jobs)
    finally:
        if any(state == "done" for state, _ in states(box, name).values()):
            sum_up(box, name)


def trial(box):
    """How many runs side by side pay, by the speed of ResNet-20."""
    speeds = {}
    for jobs in JOBS[:2] if box.options.rehearse else JOBS:
        if box.left() < 30:
            break
        try:
            rows = box.bench(f"jobs-{jobs}", ["residual", "--depth", "20"], "--precision", "bf16",
                             "--layout", "channels-last", "--jobs", jobs)
        except Failed as error:
            box.say(f"{jobs} side by side: {error}")
            break
        speeds[jobs] = rows[0]["images_per_s"]
        box.say(f"{jobs} side by side: {speeds[jobs]:.0f} images/s")
        if jobs > 1 and jobs_that_pay(speeds) < jobs:
            break
    if not speeds:
        raise Failed("fathom bench gives no speed")
    return jobs_that_pay(speeds)


def seconds_of_runs(box, jobs):
    """Of the paper's schedule by depth, measured on its residual nets, which take longer than plain ones."""
    output = box.out / "log" / "fig6-seconds.json"
    command = [box.fathom, "plan", *experiment(box, FULL), "--only", "residual-[25][06]-*", "--measure", "--device",
               box.options.device, "--jobs", jobs, "--layout", "channels-last", "--format", "json"]
    box.run("fig6-plan", command, output=output)
    found = {20: 0.0, 56: 0.0}
    for row in json.loads(output.read_text()):
        depth = int(row["run"].split("-")[1])
        found[depth] = max(found[depth], row["seconds"])
    return found


def experiment(box, name):
    """The file, and what a rehearsal makes of it."""
    settings = dict(REHEARSAL if box.options.rehearse else {})
    if settings:
        settings["training.norm_batch"] = 8 if name == FULL else 16
    return [ROOT / "experiments" / f"{name}.toml", *(word for key, value in settings.items()
                                                    for word in ("--set", f"{key}={value}"))]


def refuse_other_build(box, name):
    folder = box.out / name
    begun = box.state().get(f"fig6: {name}", {}).get("build", box.build)
    if folder.exists() and begun != box.build:
        raise Failed(f"{folder} holds results of another build ({begun}): give another --out")
    box.remember(f"fig6: {name}", "begun")


def states(box, name):
    """State and last step by (family, depth, seed)."""
    found = {}
    for folder in (box.out / name / "runs").glob("*-s*"):
        family, depth, *rest = folder.name.split("-")
        seed = next(int(part[1:]) for part in rest if part[0] == "s" and part[1:].isdigit())
        found[family, int(depth), seed] = state_of(folder)
    return found


def sweep(box, name, jobs):
    """Runs what is not done, group by group, until the time is up."""
    ended = {key for key, (state, _) in states(box, name).items() if state in ("done", "diverged")}
    if ended:
        box.say(f"{len(ended)} runs are there already")
    for group in plan(ended, jobs, 1 if box.options.rehearse else SEEDS):
        words = ", ".join(f"{family}-{depth}" for family, depth, _ in group) + f", seed {group[0][2]}"
        if box.left() < (2 if box.options.rehearse else 20):
            box.rows.append([f"fig6: {words}", "not begun", "", "the same command continues"])
            raise TimeIsUp
        box.say(words)
        begun = time.monotonic()
        try:
            for pattern in globs(group):
                box.run(name, [box.fathom, "run", *experiment(box, name), "--only", pattern, "--out", box.out / name,
                               "--device", box.options.device, "--jobs", jobs, "--layout", "channels-last"])
        except (Failed, TimeIsUp) as error:
            reached = states(box, name)
            steps = ", ".join(str(reached.get(key, ("", 0))[1]) for key in group)
            has_failed = isinstance(error, Failed)
            remark = str(error) if has_failed else f"after {steps} updates; the same command continues"
            box.rows.append([f"fig6: {words}", "FAILED" if has_failed else "stopped",
                             f"{time.monotonic() - begun:.0f}", remark])
            if not has_failed:
                raise
            continue
        box.rows.append([f"fig6: {words}", "done", f"{time.monotonic() - begun:.0f}", ""])


def sum_up(box, name):
    """Figures, tables and verdicts of what is there; within seconds."""
    folder, place = box.out / name, box.out / "tables"
    place.mkdir(exist_ok=True)
    for what, words in (("plot", ["plot", folder]), ("summary", ["status", folder, "--summary"]),
                        ("claims", ["check", folder])):
        box.children.run([box.fathom, *words], place / f"{name}-{what}.log", until=time.monotonic() + 20,
                         output=place / f"{name}-{what}.txt")
    print((place / f"{name}-summary.txt").read_text(), flush=True)
    print((place / f"{name}-claims.txt").read_text(), flush=True)
