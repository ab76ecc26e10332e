"""Measuring in pairs, for compare_pytorch.py: one process, its memory, and ratios of what was found.

torch is not imported here, nor in compare_pytorch.py: a process's peak memory counts from what the
one that started it held.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

SIDES = ("pytorch", "fathom")
LAYOUTS = ("nchw", "channels-last")


class Refused(Exception):
    """Why nothing can be measured, in one line."""


# --- One measurement -------------------------------------------------------------------------


FIGURES = ("images_per_s", "step_ms", "step_p10_ms", "step_p90_ms", "steps", "data_ms",
           "peak_memory_mb", "startup_s")
STEP_COLUMNS = ("net", "device", "threads", "precision", "layout", "way", "pair", "place", "who",
                *FIGURES, "version", "failure")
SWEEP_COLUMNS = ("experiment", "device", "pair", "place", "who", "layout", "seconds", "largest_process_mb",
                 "all_processes_mb", "version", "failure")


def figures(text):
    """What a side says of one setting: `fathom bench --format json`, or pytorch_peer.py. Columns that
    are absent stay so; a row without speed is a failure. More than five digits would be of chance."""
    try:
        said = json.loads(text)
        row = said[0] if isinstance(said, list) else said
        failure = row.get("failure")
        numbers = {name: float(f"{row[name]:.5g}") for name in FIGURES if row.get(name) is not None}
        numbers = {name: int(value) if value.is_integer() else value for name, value in numbers.items()}
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        return {"failure": f"no figures in what it printed: {' '.join(text.split())[:80]}"}
    if not failure and not numbers.get("images_per_s"):
        failure = "no images_per_s in what it printed"
    return {**numbers, "failure": failure} if failure else numbers


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def measured_step(command, threads):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = figures(result.stdout)
    if result.returncode and "images_per_s" not in found:
        found["failure"] = f"exit code {result.returncode}: {last_line(result.stderr)}"
    return found


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listed.read_text().split()
        except OSError:
            continue
        found += [below for child in children for below in tree(int(child))]
    return found


def held(pid):
    """Bytes that a process and those below it hold together, shared pages once."""
    total = 0
    for each in tree(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def measured_sweep(command, log):
    """Wall time, and memory: of the largest process, and of all together as seen every quarter second."""
    with log.open("w+") as said:
        begun = time.perf_counter()
        child = subprocess.Popen(command, stdout=said, stderr=said)
        ended, most = threading.Event(), [0]

        def watch():
            while not ended.wait(0.25):
                most[0] = max(most[0], held(child.pid))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        # Unlike Popen.wait it also tells what the child and those it waited for have used.
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
        said.seek(0)
        if child.returncode:
            return {"failure": f"exit code {child.returncode}: {last_line(said.read())}"}
    # Kibibytes on Linux.
    found = {"seconds": round(seconds, 2), "largest_process_mb": round(used.ru_maxrss * 1024 / 1e6, 1)}
    return {**found, "all_processes_mb": round(most[0] / 1e6, 1)} if most[0] else found


# --- Pairs -----------------------------------------------------------------------------------


def sides(pair):
    """Who is first in a pair, counted from 1, and who second."""
    return SIDES if pair % 2 else SIDES[::-1]


class Log:
    """Every measurement, in a CSV file as soon as it is made and in memory."""

    def __init__(self, path, columns):
        self.rows = []
        try:
            self.file = path.open("w", newline="") if path else None
        except OSError as error:
            raise Refused(f"{path}: cannot be written: {error.strerror or error}") from error
        self.csv = csv.DictWriter(self.file, columns, restval="") if path else None
        if path:
            self.csv.writeheader()

    def add(self, row, shown):
        self.rows.append(row)
        if self.csv:
            self.csv.writerow(row)
            self.file.flush()
        found = f"{row['images_per_s']} images/s" if "images_per_s" in row else f"{row.get('seconds')} s"
        print(f"{shown}: {row.get('failure') or found}", file=sys.stderr, flush=True)

    def has_failed(self):
        return any(row.get("failure") for row in self.rows)


def ratios(rows, name, over, under):
    """Of each pair that has both: `name` of the rows `over` by that of the rows `under`; these are
    told by their columns, such as {"who": "fathom", "layout": "nchw"}."""
    def by_pair(wanted):
        return {row["pair"]: row[name] for row in rows
                if row.get(name) and all(row[key] == value for key, value in wanted.items())}

    above, below = by_pair(over), by_pair(under)
    return [above[pair] / below[pair] for pair in sorted(above.keys() & below.keys())]


def median(rows, name, **wanted):
    values = [row[name] for row in rows
              if row.get(name) is not None and all(row[key] == value for key, value in wanted.items())]
    return statistics.median(values) if values else None


def spread(values):
    """The median and, if there are several, the least and the greatest."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def short(value, decimals=2):
    return "-" if value is None else f"{value:.{decimals}f}"


def both(values):
    return " / ".join(map(short, values))


def best(rows, who):
    """What tells the rows of a side's fastest layout and way, in the median; those of nothing if nothing
    was measured."""
    asked = {(row["layout"], row["way"]): None for row in rows if row["who"] == who}
    speeds = {of: median(rows, "images_per_s", who=who, layout=of[0], way=of[1]) for of in asked}
    speeds = {of: speed for of, speed in speeds.items() if speed}
    layout, way = max(speeds, key=speeds.get, default=(None, None))
    return {"who": who, "layout": layout, "way": way}


STEP_HEADERS = ("net", "threads", "numbers", "pairs", "PyTorch", "PyTorch ms", "fathom", "fathom ms",
                "speed by PyTorch's", "by its default", "memory", "start s")


def step_row(rows):
    """The line of a net with so many threads: of each side the fastest layout and way; fathom's sweeps
    choose the layout by themselves."""
    ours, theirs = best(rows, "fathom"), best(rows, "pytorch")
    speeds = ratios(rows, "images_per_s", ours, theirs)
    memory = ratios(rows, "peak_memory_mb", ours, theirs)
    default = {"who": "pytorch", "layout": "nchw", "way": "eager"}
    named = [" ".join(filter(None, (of["way"], of["layout"]))) or "-" for of in (theirs, ours)]
    times = [short(median(rows, "step_ms", **of)) for of in (theirs, ours)]
    starts = [median(rows, "startup_s", **of) for of in (theirs, ours)]
    return [rows[0]["net"], str(rows[0]["threads"]), rows[0]["precision"], str(len(speeds)),
            named[0], times[0], named[1], times[1], spread(speeds),
            spread(ratios(rows, "images_per_s", ours, default)),
            short(statistics.median(memory) if memory else None), both(starts)]


def table(headers, lines, file=None):
    """Prints the lines in columns, and writes them to a CSV file."""
    if file:
        with file.open("w", newline="") as out:
            csv.writer(out).writerows([headers, *lines])
    widths = [max(len(line[at]) for line in [headers, *lines]) for at in range(len(headers))]
    for line in [headers, *lines]:
        # The first column is words, the others numbers.
        cells = [cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())
