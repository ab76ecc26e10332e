#!/usr/bin/env python3
"""Tests of cuda-check, on the emulated CUDA device of tests/cuda: python scripts/test_cuda_check.py

It trains two small nets in every way, which takes half a minute on two cores. The programs are the
checkout's, or FATHOM names one; the device's libraries are in target/emulated-cuda, or in the folder that
FATHOM_EMULATED_CUDA names. Without them the tests are skipped, unless FATHOM_REQUIRE_ALL is set.
"""

import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from array import array
from pathlib import Path

from on_gpu import bounds
from on_gpu.curves import apart, relative
from on_gpu.programs import ROOT

CHECK = Path(__file__).with_name("cuda-check")
FATHOM = Path(os.environ.get("FATHOM", ROOT / "target" / "release" / "fathom"))
EMULATED = Path(os.environ.get("FATHOM_EMULATED_CUDA", ROOT / "target" / "emulated-cuda"))
ARMS = "lenet,mlp-rmsprop"
# Settings that stand for a fault of one way of training, and a net that shows it.
MUTANTS = {
    "training.schedule.kind=constant": "lenet",
    "training.momentum=0.8": "lenet",
    "training.weight_decay=0": "lenet",
    "training.norm_batch=32": "mlp-rmsprop",
}
# Faults of the emulated device itself, where it has them: of what a replay reads.
FAULTS = ("stale-batch", "frozen-rate")


def cuda_check(*words, **environment):
    paths = os.pathsep.join(filter(None, [str(EMULATED), os.environ.get("LD_LIBRARY_PATH")]))
    return subprocess.run([sys.executable, CHECK, *map(str, words), "--fathom", FATHOM], capture_output=True,
                          text=True, check=False, env={**os.environ, "LD_LIBRARY_PATH": paths, **environment})


def has_faults():
    library = EMULATED / "libtorch_cuda.so"
    return library.exists() and b"EMULATED_CUDA_MUTANT" in library.read_bytes()


class OnTheEmulatedDevice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not FATHOM.exists() or not (EMULATED / "libtorch_cuda.so").exists():
            if os.environ.get("FATHOM_REQUIRE_ALL"):
                raise AssertionError(f"{FATHOM} or {EMULATED}/libtorch_cuda.so is missing")
            raise unittest.SkipTest("the programs or the emulated device are not built (scripts/test builds them)")
        cls.home = tempfile.TemporaryDirectory()
        cls.whole = Path(cls.home.name, "whole")
        cls.said = cuda_check(cls.whole, "--arms", ARMS)

    @classmethod
    def tearDownClass(cls):
        cls.home.cleanup()

    def test_all_ways_agree(self):
        self.assertEqual(self.said.returncode, 0, self.said.stdout + self.said.stderr)
        self.assertIn("All ways agree.", self.said.stdout)
        self.assertRegex(self.said.stdout, r"resumed +undisturbed .* the same bytes, 1 runs stopped in the middle")

    def changed(self, way, arm, *words, **environment):
        """What the check says where one way of training one net is another, beside a good reference."""
        folder = Path(self.home.name, re.sub(r"\W", "-", " ".join([way, arm, *words, *environment.values()])))
        folder.mkdir()
        # The reference holds both nets, the check looks at one.
        shutil.copytree(self.whole / "eager", folder / "eager")
        (folder / "cuda-check-pictures").symlink_to(self.whole / "cuda-check-pictures")
        return cuda_check(folder, "--reuse", "--arms", ARMS, "--ways", way, *words, **environment)

    def assert_differs(self, said, factor=3.0):
        found = re.search(r"DIFFERS: ([\d.]+|inf) times the bound", said.stdout)
        self.assertTrue(found, said.stdout + said.stderr)
        self.assertGreaterEqual(float(found[1]), factor, said.stdout)
        self.assertEqual(said.returncode, 1)

    def test_other_settings_are_found_in_f32(self):
        for setting, arm in MUTANTS.items():
            with self.subTest(setting):
                self.assert_differs(self.changed("recorded", arm, "--change", f"recorded:{setting}"))

    def test_other_settings_are_found_in_bf16(self):
        for setting in ("training.schedule.kind=constant", "training.momentum=0.8"):
            with self.subTest(setting):
                self.assert_differs(self.changed("bf16", "lenet", "--change", f"bf16:{setting}"))

    @unittest.skipUnless(has_faults(), "this emulated device has no EMULATED_CUDA_MUTANT")
    def test_faults_of_replays_are_found(self):
        for fault in FAULTS:
            with self.subTest(fault):
                self.assert_differs(self.changed("recorded", "lenet", EMULATED_CUDA_MUTANT=fault))

    def test_a_resumed_run_that_ends_otherwise_is_found(self):
        said = cuda_check(Path(self.home.name, "resumed"), "--arms", "lenet", "--ways", "resumed",
                          "--change", "resumed:training.momentum=0.8")
        self.assertEqual(said.returncode, 1)
        self.assertIn("DIFFERS in bytes", said.stdout)


class Parts(unittest.TestCase):
    def test_what_cannot_be_compared_is_infinitely_far(self):
        self.assertEqual(apart({"a": array("f", [1])}, {"b": array("f", [1])}), math.inf)
        self.assertEqual(apart({"a": array("f", [math.nan])}, {"a": array("f", [1])}), math.inf)
        self.assertAlmostEqual(apart({"a": array("f", [3, 4])}, {"a": array("f", [3, 5])}), 1 / math.sqrt(34))
        self.assertEqual(relative("", "2.0"), math.inf)
        self.assertEqual(relative("nan", "2.0"), math.inf)
        self.assertAlmostEqual(relative("2.1", "2.0"), 0.05)

    def test_every_net_of_the_experiment_has_bounds(self):
        text = (ROOT / "experiments" / "cuda-check.toml").read_text()
        self.assertEqual(re.findall(r'^name = "([^"]+)"', text, re.M)[1:], list(bounds.ARMS))
        for arm in bounds.ARMS:
            self.assertGreaterEqual(bounds.bound(arm, "losses", "bf16"), bounds.bound(arm, "losses", "f32"))

    def test_bad_usage_has_one_message(self):
        for words, message in ((["--arms", "resnet"], "resnet is none of: plain"), (["--jobs", "0"], "above zero"),
                               (["--fathom", "nowhere"], "fathom is missing: looked for nowhere")):
            said = subprocess.run([sys.executable, CHECK, *words], capture_output=True, text=True, check=False)
            self.assertIn(message, said.stderr)
            self.assertNotIn("Traceback", said.stderr)


if __name__ == "__main__":
    unittest.main()
