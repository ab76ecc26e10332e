#!/usr/bin/env python3
"""Tests of what on-gpu decides, with canned numbers: python scripts/test_on_gpu.py

Neither a GPU nor the programs are needed.
"""

import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace

from on_gpu import data, fig6
from on_gpu.box import Box, Failed, GoesOn, TimeIsUp
from on_gpu.children import Children, Stopped
from on_gpu.pack import pack, shared_out

SCRIPT = Path(__file__).with_name("on-gpu")
DEPTHS = (20, 32, 44, 56, 110)


class RunsSideBySide(unittest.TestCase):
    def test_as_many_as_pay(self):
        self.assertEqual(fig6.jobs_that_pay({1: 100}), 1)
        self.assertEqual(fig6.jobs_that_pay({1: 100, 2: 190, 4: 300, 8: 310}), 4)
        self.assertEqual(fig6.jobs_that_pay({1: 100, 2: 105, 4: 104}), 1)
        # Two hardly pay, but four do.
        self.assertEqual(fig6.jobs_that_pay({1: 100, 2: 108, 4: 160, 8: 100}), 4)


class Schedule(unittest.TestCase):
    measured = {20: 140.0, 56: 380.0}

    def test_a_depth_between_is_on_the_line(self):
        self.assertEqual([fig6.seconds_of(depth, self.measured) for depth in (20, 32, 44, 56)], [140, 220, 300, 380])

    def test_groups_take_as_long_as_their_deepest_net(self):
        times = [fig6.time_for(fig6.CORE, self.measured, jobs) for jobs in (1, 2, 4, 8)]
        self.assertEqual(times, [1040, 520, 380, 380])

    def test_the_papers_where_its_core_fits(self):
        self.assertEqual(fig6.schedule_for(self.measured, 1, 1200), fig6.FULL)
        self.assertEqual(fig6.schedule_for(self.measured, 1, 1190), fig6.QUARTER)
        self.assertEqual(fig6.schedule_for(self.measured, 4, 450), fig6.FULL)
        self.assertEqual(fig6.schedule_for(self.measured, 4, 60), fig6.QUARTER)


class Order(unittest.TestCase):
    def test_the_core_comes_first_then_the_rest_then_seeds(self):
        one = fig6.plan(set(), 1, seeds=2)
        self.assertEqual([group[0] for group in one[:5]], [("plain", 20, 0), ("residual", 20, 0), ("plain", 56, 0),
                                                           ("residual", 56, 0), ("plain", 32, 0)])
        self.assertEqual(one[8], [("plain", 20, 1)])
        four = fig6.plan(set(), 4, seeds=1)
        self.assertEqual([{depth for _, depth, _ in group} for group in four], [{20, 56}, {32, 44}])
        eight = fig6.plan(set(), 8, seeds=2)
        self.assertEqual([len(group) for group in eight], [8, 8])

    def test_what_is_done_is_left_out(self):
        done = {(family, depth, 0) for family in ("plain", "residual") for depth in (20, 56)}
        self.assertEqual(fig6.plan(done, 4, seeds=1), [[("plain", 32, 0), ("residual", 32, 0), ("plain", 44, 0),
                                                        ("residual", 44, 0)]])
        self.assertEqual(fig6.plan({("plain", 20, 0)}, 2, seeds=1)[0], [("residual", 20, 0), ("plain", 56, 0)])

    def test_patterns_match_just_the_group(self):
        ids = {(family, depth, seed): f"{family}-{depth}-s{seed}-00a5b0" for family in ("plain", "residual")
               for depth in DEPTHS for seed in range(5)}
        ids |= {(family, 110, seed): f"{family}-110-until-error-s{seed}-00a5b0" for family in ("plain", "residual")
                for seed in range(5)}
        for jobs in (1, 2, 4, 8):
            for done in (set(), {("plain", 20, 0)}, {("residual", 56, 2), ("plain", 32, 1)}):
                for group in fig6.plan(done, jobs):
                    patterns = fig6.globs(group)
                    found = [key for key, name in ids.items() for pattern in patterns if fnmatchcase(name, pattern)]
                    self.assertEqual(sorted(found), sorted(group))

    def test_whole_groups_need_one_pattern(self):
        for jobs in (1, 2, 4, 8):
            for group in fig6.plan(set(), jobs):
                self.assertEqual(len(fig6.globs(group)), 1)


class Packing(unittest.TestCase):
    def test_limits_hold_and_what_finds_no_place_is_told(self):
        sizes = [(f"{number}", 400) for number in range(10)] + [("large", 10**6)]
        archives, left_out = shared_out(sizes, limit=64 * 2**10 + 2500, files=2)
        self.assertEqual([len(names) for names in archives], [2, 2])
        self.assertEqual(len(left_out), 7)
        self.assertIn("large", left_out)

    def test_checkpoints_of_ended_runs_and_data_are_left_out(self):
        with tempfile.TemporaryDirectory() as home:
            out = Path(home)
            for name in ("sweep/runs/a/curve.csv", "sweep/runs/a/checkpoint.safetensors", "sweep/runs/b/curve.csv",
                         "sweep/runs/b/checkpoint.safetensors", "sweep/runs/b/checkpoint.previous.safetensors",
                         "data/big.bin", "sweep/sweep.lock", "state.json"):
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(os.urandom(2000))
            for _ in range(2):
                written, left_out = pack(out, out / "data", lambda folder: folder.name == "b", limit=80_000, files=8)
            self.assertEqual(left_out, [])
            self.assertTrue(all(path.stat().st_size <= 80_000 for path in written))
            names = [name for path in written for name in tarfile.open(path).getnames()]
            checkpoint = "sweep/runs/b/checkpoint.safetensors"
            curves = ["sweep/runs/a/curve.csv", "sweep/runs/b/curve.csv"]
            self.assertEqual(sorted(names), sorted(["state.json", checkpoint, *curves]))
            self.assertEqual(names[-1], checkpoint)


class Parts(unittest.TestCase):
    def test_missing_parts_are_named(self):
        with tempfile.TemporaryDirectory() as home:
            place = Path(home)
            for name in ("data_batch_1.webp", "data_batch_1.labels", "data_batch_2.webp"):
                (place / name).touch()
            self.assertEqual(data.missing(place, ("data_batch_1", "data_batch_2", "test_batch")),
                             ["data_batch_2.labels", "test_batch.webp", "test_batch.labels"])


class Silent(Box):
    def say(self, text):
        pass


def box_in(home, minutes=1.0, fathom="exit 0"):
    """A box whose fathom is a shell script."""
    program = Path(home, "fathom")
    program.write_text(f"#!/bin/sh\n{fathom}\n")
    worker = Path(home, "fathom-train")
    worker.write_text('#!/bin/sh\necho \'{"build": "b1"}\'\n')
    for path in (program, worker):
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    options = SimpleNamespace(minutes=minutes, rehearse=False, out=Path(home, "out"), data=Path(home, "data"),
                              parts=Path(home), fathom=program, python=None, device="cuda", jobs=None, schedule=None)
    return Silent(options)


class Skipping(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)

    def test_work_is_done_once_for_a_build(self):
        box = box_in(self.home.name)
        self.assertEqual(box.once("speed", lambda: 3), 3)
        again = box_in(self.home.name)
        self.assertEqual(again.once("speed", lambda: self.fail("done again")), 3)
        self.assertEqual(again.rows, [["speed", "there already", "", ""]])
        again.build = "b2"
        self.assertEqual(again.once("speed", lambda: 4), 4)

    def test_a_failure_is_told_and_tried_again(self):
        box = box_in(self.home.name)

        def fails():
            raise Failed("no GPU")

        self.assertIsNone(box.once("speed", fails))
        self.assertTrue(box.has_failed())
        self.assertEqual(box_in(self.home.name).once("speed", lambda: 5), 5)

    def test_nothing_begins_that_does_not_fit(self):
        box = box_in(self.home.name, minutes=0.5)
        with self.assertRaises(TimeIsUp):
            box.once("speed", lambda: self.fail("begun"), least=60)

    def test_a_program_is_stopped_when_the_time_is_up(self):
        box = box_in(self.home.name, fathom="trap 'exit 75' TERM; sleep 60 & wait")
        box.until = time.monotonic() + 0.3
        begun = time.monotonic()
        with self.assertRaises(TimeIsUp):
            box.run("train", [box.fathom, "run"])
        self.assertLess(time.monotonic() - begun, 5)

    def test_a_failed_program_gives_its_error(self):
        box = box_in(self.home.name, fathom="echo 'error: no CUDA' >&2; exit 1")
        with self.assertRaisesRegex(Failed, "exit code 1: error: no CUDA"):
            box.run("train", [box.fathom, "run"])

    def test_figures_of_bench_are_kept(self):
        box = box_in(self.home.name, fathom="""echo '[{"step_ms": 1.5}, {"failure": "memory"}]'; exit 3""")
        self.assertEqual(box.bench("speed", ["residual"])[0]["step_ms"], 1.5)
        self.assertEqual(len(json.loads((box.out / "bench" / "speed.json").read_text())), 2)

    def test_without_data_fig6_waits(self):
        box = box_in(self.home.name, fathom="exit 1")
        with self.assertRaisesRegex(GoesOn, "CIFAR-10 is not whole"):
            fig6.stage(box)

    def test_results_of_another_build_are_refused(self):
        box = box_in(self.home.name)
        (box.out / fig6.FULL).mkdir()
        fig6.refuse_other_build(box, fig6.FULL)
        box.build = "b2"
        with self.assertRaisesRegex(Failed, "another build"):
            fig6.refuse_other_build(box, fig6.FULL)


def living(group):
    """States of a group's processes, without those that have ended and are not yet waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = path.read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        found += [state] if int(of_group) == group and state not in "ZX" else []
    return found


class Interrupts(unittest.TestCase):
    def test_no_process_is_left_behind(self):
        text = ("import sys; sys.path.insert(0, sys.argv[1])\nfrom on_gpu.children import Children, Stopped\n"
                "try: Children().run(['sh', '-c', 'echo $$; sleep 60 & sleep 60'], output=sys.argv[2])\n"
                "except Stopped: sys.exit(75)\n")
        with tempfile.TemporaryDirectory() as home:
            said = Path(home, "said")
            script = subprocess.Popen([sys.executable, "-c", text, str(SCRIPT.parent), str(said)])
            until = time.monotonic() + 10
            while not (said.exists() and said.read_text()) and time.monotonic() < until:
                time.sleep(0.02)
            script.terminate()
            self.assertEqual(script.wait(timeout=10), 75)
            self.assertEqual(living(int(said.read_text())), [])

    def test_nothing_starts_after_a_signal(self):
        children = Children()
        children.is_stopped = True
        with self.assertRaises(Stopped):
            children.run(["true"])


class Usage(unittest.TestCase):
    def test_bad_usage_has_one_message(self):
        for words, message in ((["fig7"], "invalid choice: 'fig7'"), (["contact", "--minutes", "0"], "above zero"),
                               (["contact", "--jobs", "0"], "above zero"),
                               (["contact", "--fathom", "nowhere"], "fathom is missing: looked for nowhere")):
            said = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False)
            self.assertIn(message, said.stderr)
            self.assertNotIn("Traceback", said.stderr)
            self.assertIn(said.returncode, (1, 2))


if __name__ == "__main__":
    unittest.main()
