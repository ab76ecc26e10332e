"""What all stages share: the programs, the time that is left, what is done already, and the table of it."""

import json
import os
import subprocess
import sys
import time

from .children import Children, Stopped, last_line
from .programs import ROOT, find_fathom

# Seconds of a call that are kept for stopping runs at a checkpoint and for packing.
RESERVE = 30
REHEARSED_RESERVE = 12
# What `fathom bench` times in a rehearsal.
SMALL = ["residual", "--over", "depth=8", "--width", "4", "--size", "8", "--batch", "4"]


class GoesOn(Exception):
    """What is left has to wait for a later call, and why, in one line."""


class TimeIsUp(GoesOn):
    """What follows needs more time than is left."""

    def __init__(self):
        super().__init__("the time is up; the same command continues")


class Failed(Exception):
    """Why a piece of work came to nothing, in one line."""


def build_of(fathom):
    """The fingerprint of the sources that the programs were built from, and their revision."""
    about = ROOT / "BUILD"
    if about.exists():
        found = json.loads(about.read_text())
        return found["build"], found["revision"]
    try:
        worker = subprocess.run([fathom.with_name("fathom-train"), "probe"], capture_output=True, text=True, check=True)
        return json.loads(worker.stdout)["build"], "a checkout"
    except (OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"on-gpu: {fathom.with_name('fathom-train')} does not start: {error}") from error


class Box:
    """One call of on-gpu."""

    def __init__(self, options):
        self.options, self.begun = options, time.monotonic()
        self.until = self.begun + 60 * options.minutes
        self.until -= min(REHEARSED_RESERVE if options.rehearse else RESERVE, 15 * options.minutes)
        self.out, self.fathom = options.out.resolve(), find_fathom(options.fathom)
        self.python = options.python or os.environ.get("FATHOM_PYTHON") or sys.executable
        self.build, self.revision = build_of(self.fathom)
        self.children = Children({"FATHOM_DATA": str(options.data.resolve()), "FATHOM_PYTHON": str(self.python)})
        self.rows = []
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "log").mkdir(exist_ok=True)
        self.known = self.out / "state.json"

    def say(self, text):
        print(f"{time.monotonic() - self.begun:6.0f} s  {text}", flush=True)

    def left(self):
        """Seconds that work may take yet."""
        return self.until - time.monotonic()

    def state(self):
        try:
            return json.loads(self.known.read_text())
        except (OSError, ValueError):
            return {}

    def remember(self, name, found):
        draft = self.known.with_suffix(".draft")
        draft.write_text(json.dumps({**self.state(), name: {"build": self.build, "found": found}}, indent=1))
        draft.replace(self.known)

    def recall(self, name):
        """What this build found earlier, or nothing."""
        entry = self.state().get(name, {})
        return entry.get("found") if entry.get("build") == self.build else None

    def once(self, name, work, least=0):
        """The result of a piece of work: of an earlier call of this build, or of doing it now where at
        least so many seconds are left. A failure becomes a row of the table and no result."""
        found = self.recall(name)
        if found is not None:
            self.say(f"{name}: there already")
            self.rows.append([name, "there already", "", ""])
            return found
        if self.left() < least:
            self.rows.append([name, "not begun", "", f"needs about {least:.0f} s"])
            raise TimeIsUp
        self.say(name)
        begun = time.monotonic()
        try:
            found = work()
        except Failed as error:
            self.rows.append([name, "FAILED", f"{time.monotonic() - begun:.0f}", str(error)])
            self.say(f"{name} failed: {error}")
            return None
        except (TimeIsUp, Stopped):
            self.rows.append([name, "stopped", f"{time.monotonic() - begun:.0f}", "the same command continues"])
            raise
        self.remember(name, found)
        self.rows.append([name, "done", f"{time.monotonic() - begun:.0f}", ""])
        return found

    def run(self, name, command, accept=(0,), output=None):
        """Runs a program whose words go to log/NAME.log, or what it prints to the file `output`; its exit
        code. It is stopped when the time is up.

        Raises Failed for an exit code that is not accepted, and TimeIsUp.
        """
        log = self.out / "log" / f"{name}.log"
        if output:
            output.unlink(missing_ok=True)
        code = self.children.run(command, log, until=self.until, output=output)
        if code not in accept:
            if time.monotonic() >= self.until:
                raise TimeIsUp
            raise Failed(f"exit code {code}: {last_line(log)}")
        return code

    def bench(self, name, net, *words):
        """Rows of `fathom bench` of a net, which stay in bench/NAME.json too."""
        folder = self.out / "bench"
        folder.mkdir(exist_ok=True)
        output, seconds = folder / f"{name}.json", "0.2" if self.options.rehearse else "2"
        net = SMALL if self.options.rehearse else net
        command = [self.fathom, "bench", *net, *words, "--augment", "crop-flip", "--device", self.options.device,
                   "--seconds", seconds]
        code = self.run(name, [*command, "--format", "json"], accept=(0, 3), output=output)
        try:
            rows = json.loads(output.read_text())
        except ValueError as error:
            raise Failed(f"exit code {code}: no figures") from error
        failures = [row["failure"] for row in rows if row.get("failure")]
        if len(failures) == len(rows):
            raise Failed(failures[0] if failures else "no figures")
        return rows

    def table(self):
        head = ["what", "outcome", "seconds", "remark"]
        widths = [max(len(row[column]) for row in [head, *self.rows]) for column in range(len(head))]
        print()
        for row in [head, *self.rows]:
            print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())
        sys.stdout.flush()

    def has_failed(self):
        return any(row[1] == "FAILED" for row in self.rows)
