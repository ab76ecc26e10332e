#!/usr/bin/env python3
"""Tests of compare_pytorch.py, with a stand-in for fathom where only its output matters.

    python scripts/test_compare_pytorch.py

Whether the peer's nets are fathom's is asked of target/release/fathom, or of the one that FATHOM
names, and skipped where there is none.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch

import compare_pytorch
import pytorch_pairs
import pytorch_peer
from compare_pytorch import NETS, ROOT

SCRIPT = Path(__file__).with_name("compare_pytorch.py")
FATHOM = Path(os.environ.get("FATHOM", ROOT / "target" / "release" / "fathom"))


def peer(net, **other):
    net = net._replace(**other)
    return pytorch_peer.build(net.family, net.depth, net.width, net.channels)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


class Nets(unittest.TestCase):
    @unittest.skipUnless(FATHOM.is_file(), "fathom is not built")
    def test_every_layer_is_that_of_fathom(self):
        for name, net in NETS.items():
            with self.subTest(name):
                self.assertEqual(self.layers(net), self.inspected(net))

    @staticmethod
    def inspected(net):
        """Parameters and output of each layer that has parameters."""
        arguments = net.arguments()
        at = arguments.index("--batch")
        command = [FATHOM, "inspect", *arguments[:at], *arguments[at + 2:], "--format", "json"]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        layers = [layer for layer in json.loads(said.stdout)["layers"] if layer["parameters"]]
        return {layer["name"]: (layer["parameters"], [n for n in layer["output"] if n > 1]) for layer in layers}

    @staticmethod
    def layers(net):
        module, found = peer(net), {}
        for name, part in module.named_modules():
            if list(part.parameters(recurse=False)):
                part.register_forward_hook(lambda part, _, output, name=name: found.update(
                    {name: (parameters(part), [n for n in output.shape[1:] if n > 1])}))
        module(torch.zeros(2, net.channels, net.size, net.size))
        return found

    def test_shortcuts_cost_nothing_and_put_zeros_behind(self):
        net = NETS["resnet-20"]
        self.assertEqual(parameters(peer(net)), 269_722)
        self.assertEqual(parameters(peer(net, family="plain")), 269_722)
        x = torch.randn(2, 4, 7, 7)
        out = pytorch_peer.Block(4, 8, 2, True).identity(x)
        self.assertTrue(torch.equal(out[:, :4], x[:, :, ::2, ::2]))
        self.assertEqual(out.shape, (2, 8, 4, 4))
        self.assertFalse(out[:, 4:].any())
        self.assertIs(pytorch_peer.Block(4, 4, 1, True).identity(x), x)

    def test_the_residual_net_has_the_fixture_s_logits(self):
        # The Rust program's nets are tested against the same file.
        try:
            import parity_fixtures
        except ImportError as error:
            self.skipTest(f"{error.name} is missing")
        file = ROOT / "tests" / "fixtures" / "parity" / "resnet20-behind.json"
        expected = torch.tensor(json.loads(file.read_text())["logits_eval"]["rows"])
        net = peer(NETS["resnet-20"])
        parity_fixtures.fill(net)
        with torch.no_grad():
            logits = net.eval()(parity_fixtures.values("images", (4, 3, 32, 32), -1.0, 1.0))
        self.assertLess((logits - expected).abs().max().item(), 1e-5 * expected.abs().max().item())


class Arithmetic(unittest.TestCase):
    def rows(self):
        """Three pairs; in the third fathom's nchw failed."""
        speeds = {("pytorch", "nchw"): (100, 100, 200), ("pytorch", "channels-last"): (50, 50, 50),
                  ("fathom", "nchw"): (90, 110, None), ("fathom", "channels-last"): (150, 200, 200)}
        return [{"net": "n", "threads": 2, "precision": "f32", "pair": pair, "who": who, "layout": layout,
                 "way": "eager" if who == "pytorch" else "",
                 **({"images_per_s": speed, "step_ms": 1e4 / speed, "startup_s": 2.0 if who == "pytorch" else 0.5,
                     "peak_memory_mb": 400 if who == "pytorch" else 100} if speed else {"failure": "x"})}
                for (who, layout), all_pairs in speeds.items() for pair, speed in enumerate(all_pairs, 1)]

    def test_ratios_are_taken_within_pairs_and_between_the_better_layouts(self):
        rows = self.rows()
        self.assertEqual(pytorch_pairs.best(rows, "pytorch"), {"who": "pytorch", "layout": "nchw", "way": "eager"})
        self.assertEqual(pytorch_pairs.best(rows, "fathom"), {"who": "fathom", "layout": "channels-last", "way": ""})
        self.assertEqual(pytorch_pairs.step_row(rows), [
            "n", "2", "f32", "3", "eager nchw", "100.00", "channels-last", "50.00", "1.50 (1.00 to 2.00)",
            "1.50 (1.00 to 2.00)", "0.25", "2.00 / 0.50"])

    def test_the_fastest_way_of_pytorch_is_compared(self):
        rows = self.rows()
        compiled = [{**row, "way": "compiled", "images_per_s": 4 * row["images_per_s"]} for row in rows
                    if row["who"] == "pytorch" and row["layout"] == "channels-last"]
        found = pytorch_pairs.step_row(rows + compiled)
        self.assertEqual(found[4], "compiled channels-last")
        self.assertEqual(found[8:10], ["1.00 (0.75 to 1.00)", "1.50 (1.00 to 2.00)"])

    def test_a_pair_with_a_failure_has_no_ratio(self):
        ours, theirs = {"who": "fathom", "layout": "nchw"}, {"who": "pytorch", "layout": "nchw"}
        self.assertEqual(pytorch_pairs.ratios(self.rows(), "images_per_s", ours, theirs), [0.9, 1.1])

    def test_where_nothing_was_measured_there_is_no_number(self):
        rows = [{**row, "images_per_s": None, "step_ms": None, "startup_s": None, "peak_memory_mb": None}
                for row in self.rows()]
        self.assertEqual(pytorch_pairs.step_row(rows)[3:], ["0", "-", "-", "-", "-", "-", "-", "-", "- / -"])

    def test_who_is_first_alternates(self):
        self.assertEqual([pytorch_pairs.sides(pair)[0] for pair in (1, 2, 3)], ["pytorch", "fathom", "pytorch"])

    def test_what_a_side_prints(self):
        figures = pytorch_pairs.figures
        self.assertEqual(figures('[{"images_per_s": 1234.5678, "steps": 7, "layout": "nchw", "failure": null}]'),
                         {"images_per_s": 1234.6, "steps": 7})
        self.assertEqual(figures('{"images_per_s": 2, "startup_s": null}'), {"images_per_s": 2})
        self.assertEqual(figures('[{"images_per_s": null, "failure": "no memory"}]'), {"failure": "no memory"})
        for text in ("", "[]", "3", "[3]", '{"images_per_s": "fast"}', "{}"):
            self.assertIn("what it printed", figures(text)["failure"], text)


class Programs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.csv = self.folder / "all.csv"

    def stand_in(self, body):
        path = self.folder / "fathom"
        path.write_text('#!/bin/sh\nif [ "$1" = --version ]; then echo fathom 9; exit; fi\n' + body + "\n")
        path.chmod(0o755)
        return path

    def run_script(self, *arguments, python=(sys.executable,)):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [str(a) for a in (*python, SCRIPT, *arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def refused(self, result, *parts):
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("compare_pytorch: error: "), result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)

    def measurements(self):
        with self.csv.open(newline="") as file:
            return list(csv.DictReader(file))

    def step(self, fathom):
        return self.run_script("step", "--nets", "plain-44-w4-14", "--threads", "1", "--pairs", "1", "--seconds",
                               "0.01", "--fathom", fathom, "--csv", self.csv, "--table", self.folder / "table.csv")

    def test_step(self):
        result = self.step(self.stand_in(
            """echo '[{"images_per_s": 1e9, "step_ms": 0.001, "peak_memory_mb": 1, "startup_s": 0.1}]'"""))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("plain-44-w4-14", result.stdout)
        with (self.folder / "table.csv").open(newline="") as file:
            [line] = csv.DictReader(file)
        self.assertEqual((line["net"], line["pairs"]), ("plain-44-w4-14", "1"))
        self.assertIn(line["fathom ms"], result.stdout)
        rows = self.measurements()
        self.assertEqual([(row["who"], row["layout"]) for row in rows], [
            ("pytorch", "nchw"), ("fathom", "channels-last"), ("pytorch", "channels-last"), ("fathom", "batch-last")])
        for row in rows:
            self.assertGreater(float(row["images_per_s"]), 0)
            self.assertGreater(float(row["startup_s"]), 0)

    def test_a_failure_is_a_row_and_an_exit_code(self):
        result = self.step(self.stand_in("echo out of luck >&2; exit 3"))
        self.assertEqual(result.returncode, 1)
        failures = [row["failure"] for row in self.measurements() if row["who"] == "fathom"]
        self.assertEqual(failures, ["exit code 3: out of luck"] * 2)

    EXPERIMENT = """
        [data]
        source = "shapes"
        train = 64
        test = 20
        size = 8
        colour = false
        [network]
        width = 4
        [training]
        iterations = 3
        batch = 16
        lr = 0.05
        schedule = { kind = "cosine" }
        momentum = 0.9
        weight_decay = 1e-4
        [evaluate]
        every = 2
        train_images = 20
        [sweep]
        "network.family" = ["plain", "residual"]
        "network.depth" = [8]
        """

    def sweep(self, experiment):
        file = self.folder / "experiment.toml"
        file.write_text(experiment)
        return self.run_script("sweep", "--experiment", file, "--pairs", "1", "--fathom", self.stand_in("sleep 0.3"),
                               "--csv", self.csv, "--keep", self.folder / "kept")

    def test_sweep(self):
        result = self.sweep(self.EXPERIMENT)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(float(self.measurements()[1]["seconds"]), 0.29)
        with (self.folder / "kept" / "pair-1" / "pytorch.csv").open(newline="") as file:
            rows = [(row["family"], row["step"], row["train_images"]) for row in csv.DictReader(file)]
        points = [("0", "20"), ("2", "20"), ("3", "64")]
        self.assertEqual(rows, [(family, *point) for family in ("plain", "residual") for point in points])

    def test_experiments_that_the_peer_does_not_know_are_refused(self):
        def changed(old, new):
            self.assertIn(old, self.EXPERIMENT)
            return self.sweep(self.EXPERIMENT.replace(old, new))

        self.refused(changed('"cosine"', '"step"'), "[training] schedule")
        self.refused(changed("size = 8", 'size = 8\naugment = "crop"'), "[data] augment")
        self.refused(changed("lr = 0.05\n", ""), "lr must be there")
        self.refused(changed('"plain", "residual"', '"dense"'), "plain and residual")
        self.refused(changed("every = 2", 'every = "epoch"'), "a number of updates")
        self.refused(changed("[sweep]", "[[override]]\n[sweep]"), "[override]")
        self.assertTrue(compare_pytorch.plan(ROOT / "experiments" / "quick.toml")["nets"])

    def test_what_is_missing_is_told(self):
        # Without site-packages there is no torch.
        self.refused(self.run_script("step", python=(sys.executable, "-S")), "torch is missing", "torch==2.11.0")
        self.refused(self.run_script("step", "--fathom", self.folder / "none"), "not built", "cargo build --release")


if __name__ == "__main__":
    unittest.main()
