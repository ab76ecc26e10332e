#!/usr/bin/env python3
"""Converts PyTorch's weights (.pth, .pt, .th) to safetensors, for `fathom eval --weights`.

    python scripts/convert_weights.py IN OUT.safetensors [--rename OLD=NEW ...] [--trust]

IN holds a state dict, or a dict with one under `state_dict`, `model` or `net`. Names become
torchvision's: without the `module.` of data parallelism or the `_orig_mod.` of torch.compile,
`fc.` for `linear.`, and `norm1` for the `norm.1` of old DenseNet files. Numbers become float32;
num_batches_tracked stays as it is. Every tensor is kept.

--rename replaces the beginning of names, whole parts only, after the above: --rename head=fc

Needs torch and safetensors. Exit code 0: written; 1: nothing was written; 2: bad usage.
"""

import argparse
import os
import pickle
import re
import sys
import tempfile
from pathlib import Path

# Where training scripts put the state dict within what they save.
CONTAINERS = ("state_dict", "model", "net")
WRAPPERS = ("module.", "_orig_mod.")
# torchvision's own loader renames these in the files of its first DenseNets.
OLD_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)


class Refused(Exception):
    """Why the file cannot be converted, in one line."""


def load(torch, path, trust):
    if not path.is_file():
        raise Refused(f"{path}: no such file")
    try:
        return torch.load(path, weights_only=not trust, map_location="cpu")
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "weights only" in str(error).lower():
            raise Refused(
                f"{path}: holds more than tensors (or is no PyTorch file). Save its state dict alone, "
                "with torch.save(net.state_dict(), ...), where it came from. If you trust whoever made "
                "it, --trust loads it all, and may run code that it contains"
            ) from error
        raise Refused(f"{path}: not a PyTorch file") from error
    # A damaged file fails in many ways, depending on where it is damaged.
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise Refused(f"{path}: cannot be read: {reason}") from error


def state_dict_of(torch, loaded):
    """The state dict, wherever it is in what was loaded."""
    if not isinstance(loaded, dict):
        hint = " (a whole net, not its state dict)" if isinstance(loaded, torch.nn.Module) else ""
        raise Refused(f"no state dict: the file holds a {type(loaded).__name__}{hint}")
    for key in CONTAINERS:
        if isinstance(loaded.get(key), dict) and loaded[key]:
            return loaded[key]
        if isinstance(loaded.get(key), torch.nn.Module):
            return loaded[key].state_dict()
    if any(torch.is_tensor(value) for value in loaded.values()):
        return loaded
    keys = ", ".join(str(key) for key in loaded) or "none"
    raise Refused(f"no state dict: the file's top-level keys are: {keys}")


def new_name(name, renames):
    # Wrapped twice is common: compiled, then parallel.
    while name.startswith(WRAPPERS):
        name = name.split(".", 1)[1]
    if name.startswith("linear."):
        name = "fc." + name.removeprefix("linear.")
    old = OLD_DENSENET.match(name)
    if old:
        name = old[1] + old[2]
    for before, after in renames:
        if name == before or name.startswith(before + "."):
            name = after + name.removeprefix(before)
            break
    return name


def converted(torch, state, renames):
    tensors, sources, used = {}, {}, set()
    for name, value in state.items():
        if not isinstance(name, str) or not torch.is_tensor(value):
            raise Refused(f"{name}: not a tensor but a {type(value).__name__}")
        to = new_name(name, renames)
        if to in sources:
            raise Refused(f"{sources[to]} and {name} would both be called {to}")
        sources[to] = name
        if value.is_sparse or value.is_quantized or value.is_complex():
            raise Refused(f"{name}: only dense real numbers can be converted")
        if value.is_floating_point():
            value = value.detach().to(torch.float32)
        # Safetensors refuses tensors that share memory, as tied weights do; so each is copied.
        tensors[to] = value.detach().contiguous().clone()
    if not tensors:
        raise Refused("the state dict is empty")
    return tensors


def write(save_file, tensors, path):
    """First beside it, then renamed: a file of that name is always whole."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    os.close(handle)
    try:
        # "pt" is what PyTorch's own writers say, and what some readers insist on.
        save_file(tensors, temporary, metadata={"format": "pt"})
        # Temporary files are private; this one shall be like any other that the user makes.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def rename(text):
    before, equals, after = text.partition("=")
    if not (before and equals and after):
        raise argparse.ArgumentTypeError(f"{text}: expected OLD=NEW")
    return before.removesuffix("."), after.removesuffix(".")


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", metavar="IN", type=Path)
    parser.add_argument("output", metavar="OUT.safetensors", type=Path)
    parser.add_argument("--rename", metavar="OLD=NEW", type=rename, nargs="+", action="extend", default=[],
                        help="call OLD, or all that begins with OLD and a point, NEW instead")
    parser.add_argument("--trust", action="store_true",
                        help="load more than tensors, which may run code from the file")
    return parser.parse_args()


def main():
    options = arguments()
    try:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import save_file
    except ImportError as error:
        raise Refused(f"{error.name} is missing: python -m pip install torch safetensors numpy") from error
    if options.output.suffix != ".safetensors":
        raise Refused(f"{options.output}: the name of what is written must end in .safetensors")
    state = state_dict_of(torch, load(torch, options.input, options.trust))
    tensors = converted(torch, state, options.rename)
    try:
        write(save_file, tensors, options.output)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(f"{options.output}: cannot be written: {reason}") from error
    # Statistics are no parameters: nothing trains them.
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    parameters = sum(t.numel() for name, t in tensors.items() if not name.endswith(statistics))
    print(f"{options.output}: {len(tensors)} tensors, {parameters} parameters")


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        print(f"convert_weights: error: {refused}", file=sys.stderr)
        sys.exit(1)
