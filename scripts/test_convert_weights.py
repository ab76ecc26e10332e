#!/usr/bin/env python3
"""Tests of convert_weights.py, with files as torch.save writes them.

    python scripts/test_convert_weights.py
"""

import argparse
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("convert_weights.py")


class Convert(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.output = self.folder / "out.safetensors"

    def run_script(self, *arguments, python=(sys.executable,)):
        command = [*python, SCRIPT, *arguments]
        return subprocess.run([str(a) for a in command], capture_output=True, text=True, check=False)

    def convert(self, saved, *options, name="in.pth", **save_options):
        torch.save(saved, self.folder / name, **save_options)
        return self.run_script(self.folder / name, self.output, *options)

    def accepted(self, saved, *options, **rest):
        result = self.convert(saved, *options, **rest)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return load_file(self.output)

    def refused(self, result, *parts):
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith("convert_weights: error: "), result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)
        self.assertEqual(list(self.folder.glob("out*")), [])

    # --- What is accepted --------------------------------------------------------------------

    def test_bare_state_dict_keeps_every_tensor(self):
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        result = self.convert(net.state_dict())
        self.assertIn("7 tensors, 120 parameters", result.stdout)
        tensors = load_file(self.output)
        for name, tensor in net.state_dict().items():
            self.assertTrue(torch.equal(tensors[name], tensor), name)
        self.assertEqual(tensors["1.num_batches_tracked"].dtype, torch.int64)
        with safe_open(self.output, "pt") as file:
            self.assertEqual(file.metadata(), {"format": "pt"})

    def test_old_format_without_zip(self):
        tensors = self.accepted({"a": torch.ones(2)}, name="in.th", _use_new_zipfile_serialization=False)
        self.assertEqual(list(tensors), ["a"])

    def test_containers(self):
        for key in ("state_dict", "model", "net"):
            with self.subTest(key):
                saved = {"epoch": 7, "best": 91.2, key: {"a": torch.ones(2)}}
                self.assertEqual(list(self.accepted(saved)), ["a"])

    def test_wrappers_are_stripped(self):
        names = ("module.a", "_orig_mod.module.b", "module._orig_mod.c")
        saved = {name: torch.ones(1) for name in names}
        self.assertEqual(sorted(self.accepted(saved)), ["a", "b", "c"])

    def test_linear_becomes_fc(self):
        saved = {"module.linear.weight": torch.ones(2, 3), "linear.bias": torch.ones(2),
                 "x.linear.bias": torch.ones(2)}
        self.assertEqual(sorted(self.accepted(saved)), ["fc.bias", "fc.weight", "x.linear.bias"])

    def test_old_densenet_names(self):
        layer = "features.denseblock1.denselayer2"
        saved = {f"{layer}.norm.1.running_mean": torch.ones(2), f"{layer}.conv.2.weight": torch.ones(2),
                 f"{layer}.norm2.bias": torch.ones(2), "features.norm.1.weight": torch.ones(2)}
        expected = {f"{layer}.norm1.running_mean", f"{layer}.conv2.weight",
                    f"{layer}.norm2.bias", "features.norm.1.weight"}
        self.assertEqual(set(self.accepted(saved)), expected)

    def test_renames(self):
        saved = {"head.weight": torch.ones(2, 3), "header.bias": torch.ones(2),
                 "a.b": torch.ones(1), "c": torch.ones(1)}
        tensors = self.accepted(saved, "--rename", "head=fc", "a.=z.", "--rename", "c=d")
        self.assertEqual(sorted(tensors), ["d", "fc.weight", "header.bias", "z.b"])

    def test_types_and_layout(self):
        half = torch.tensor([1.5, -0.25])
        saved = {"half": half.to(torch.float16), "brain": half.to(torch.bfloat16),
                 "double": half.to(torch.float64), "turned": torch.arange(6.0).reshape(2, 3).T,
                 "num_batches_tracked": torch.tensor(9)}
        tensors = self.accepted(saved)
        for name in ("half", "brain", "double"):
            self.assertEqual(tensors[name].dtype, torch.float32)
            self.assertTrue(torch.equal(tensors[name], half), name)
        self.assertTrue(torch.equal(tensors["turned"], saved["turned"]))
        self.assertTrue(torch.equal(tensors["num_batches_tracked"], torch.tensor(9)))
        self.assertEqual(tensors["num_batches_tracked"].dtype, torch.int64)

    def test_shared_memory_and_parameters(self):
        tied = torch.nn.Parameter(torch.ones(2, 2))
        tensors = self.accepted({"a": tied, "b": tied, "c": tied.detach()[0]})
        self.assertEqual(sorted(tensors), ["a", "b", "c"])

    def test_trust_loads_a_whole_net(self):
        net = torch.nn.Linear(2, 2)
        saved = {"state_dict": net.state_dict(), "arguments": argparse.Namespace(lr=0.1)}
        self.refused(self.convert(saved), "holds more than tensors", "--trust")
        self.assertEqual(sorted(self.accepted(saved, "--trust")), ["bias", "weight"])
        self.assertEqual(sorted(self.accepted({"net": net}, "--trust")), ["bias", "weight"])

    def test_replaces_an_older_file_whole(self):
        self.output.write_bytes(b"older")
        self.accepted({"a": torch.ones(2)})
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["in.pth", "out.safetensors"])

    # --- What is refused ---------------------------------------------------------------------

    def test_not_a_state_dict(self):
        saved = {"epoch": 7, "optimizer": {"lr": 0.1}}
        self.refused(self.convert(saved), "top-level keys are: epoch, optimizer")
        self.refused(self.convert({}), "top-level keys are: none")
        self.refused(self.convert([torch.ones(1)]), "no state dict", "list")
        self.refused(self.convert(torch.ones(1)), "no state dict", "Tensor")
        self.refused(self.convert(torch.nn.Linear(1, 1), "--trust"), "a whole net")

    def test_something_else_among_the_tensors(self):
        self.refused(self.convert({"a": torch.ones(1), "epoch": 7}), "epoch: not a tensor but a int")
        saved = {"state_dict": {"a": torch.ones(1), "b": {}}}
        self.refused(self.convert(saved), "b: not a tensor but a dict")

    def test_collisions(self):
        saved = {"linear.bias": torch.ones(1), "fc.bias": torch.ones(1)}
        self.refused(self.convert(saved), "linear.bias and fc.bias would both be called fc.bias")

    def test_an_older_file_survives_a_refusal(self):
        self.output.write_bytes(b"older")
        self.assertEqual(self.convert({"a": 1}).returncode, 1)
        self.assertEqual(self.output.read_bytes(), b"older")

    def test_sparse_and_complex(self):
        result = self.convert({"a": torch.eye(2).to_sparse()})
        self.assertEqual(result.returncode, 1)
        # PyTorch's own warning on sparse tensors comes before it.
        self.assertIn("a: only dense real numbers", result.stderr.splitlines()[-1])
        self.refused(self.convert({"a": torch.ones(2, dtype=torch.complex64)}), "a: only dense real numbers")

    def test_damaged_and_missing_files(self):
        self.refused(self.run_script(self.folder / "none.pth", self.output), "none.pth: no such file")
        (self.folder / "text.pth").write_text("<html>not found</html>")
        self.refused(self.run_script(self.folder / "text.pth", self.output), "text.pth")
        (self.folder / "empty.pth").write_bytes(b"")
        self.refused(self.run_script(self.folder / "empty.pth", self.output), "empty.pth")
        torch.save({"a": torch.ones(1000)}, self.folder / "whole.pth")
        (self.folder / "half.pth").write_bytes((self.folder / "whole.pth").read_bytes()[:2000])
        self.refused(self.run_script(self.folder / "half.pth", self.output), "half.pth: cannot be read")

    def test_where_it_goes(self):
        torch.save({"a": torch.ones(1)}, self.folder / "in.pth")
        result = self.run_script(self.folder / "in.pth", self.folder / "out.pth")
        self.refused(result, "must end in .safetensors")
        result = self.run_script(self.folder / "in.pth", self.folder / "none" / "out.safetensors")
        self.refused(result, "cannot be written")

    def test_usage(self):
        result = self.convert({"a": torch.ones(1)}, "--rename", "a")
        self.assertEqual(result.returncode, 2)
        self.assertIn("expected OLD=NEW", result.stderr)

    def test_without_torch(self):
        # An isolated Python without site-packages has neither torch nor safetensors.
        result = self.run_script(self.folder / "in.pth", self.output, python=(sys.executable, "-I", "-S"))
        self.refused(result, "torch is missing", "pip install torch safetensors")


if __name__ == "__main__":
    unittest.main()
