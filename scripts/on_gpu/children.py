"""Programs that a script starts, waits for, and ends when it is itself told to end."""

import os
import signal
import subprocess
import time
from contextlib import nullcontext

# Seconds that a program may take from SIGTERM to its end: a run finishes its update and writes a
# checkpoint.
GRACE = 20


class Stopped(Exception):
    """The script was told to end, or its time is over."""


class Children:
    """Starts programs; SIGINT, SIGTERM and SIGHUP are passed on to all of them."""

    def __init__(self, environment=None):
        """`environment`: variables that the programs get besides those of this process."""
        self.environment = {**os.environ, **(environment or {})}
        self.is_stopped = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)

    def _stop(self, _number, _frame):
        # Each call that waits for a program sees this within a twentieth of a second.
        self.is_stopped = True

    def run(self, command, log=None, until=None, asked=None, output=None):
        """Runs a program to its end and returns its exit code, below zero for a signal.

        What it says goes to the file `log`, what it prints to the file `output` where there is one. The
        program gets SIGTERM when the clock (time.monotonic) passes `until`, or once `asked()` is true;
        what is left of it after GRACE seconds is killed.
        """
        if self.is_stopped:
            raise Stopped
        with (open(log, "ab") if log else nullcontext(subprocess.DEVNULL) as said,
              open(output, "wb") if output else nullcontext(said) as printed):
            # A group of its own: a terminal's Ctrl-C reaches it through this script alone.
            child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=printed,
                                     stderr=said, start_new_session=True, env=self.environment)
            try:
                self._wait(child, until, asked)
            finally:
                kill_group(child)
        if self.is_stopped:
            raise Stopped
        return child.returncode

    def _wait(self, child, until, asked):
        told = None
        while True:
            try:
                return child.wait(timeout=0.005 if asked else 0.05)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if told is None and (self.is_stopped or (until and now > until) or (asked and asked())):
                    child.send_signal(signal.SIGTERM)
                    told = now
                elif told is not None and now > told + GRACE:
                    return kill_group(child)


def kill_group(child):
    """Kills what is left of a program and of those that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def last_line(log):
    """What a program said last, which is its error."""
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:") or " failed: " in line]
    return (errors or lines or ["it said nothing"])[-1]
