#!/usr/bin/env python3
"""Writes the fixtures that the Rust program's nets are tested against.

    python scripts/parity_fixtures.py tests/fixtures/parity                  all of them
    python scripts/parity_fixtures.py tests/fixtures/parity --net resnet18   one
    python scripts/parity_fixtures.py tests/fixtures/parity --check          compare, write nothing

What: for torchvision's resnet18, resnet50, resnet152 and densenet121 (1000 classes), and for a CIFAR
ResNet-20 with either zero padding of option A, the logits in evaluation mode, and of one training
step the loss, the logits, the gradients and the moving averages. One JSON file per net.
Why: a net built elsewhere that gives the same numbers from the same weights is the same net.

Weights are not stored. Each tensor's values follow from its name by integer arithmetic (`uniform`
below), so any language has them bit for bit. The range depends on the tensor (`value_range`), and
the values of odd channels of norms' biases are negated (`fill`). The images are the tensor named
under `images` in the file, between -1 and 1; the label of image j is (37 j + 11) modulo the
number of classes.

The stored numbers are computed in float64 from float32 weights and images. The same is done in
float32 and the differences printed, as a test in float32 can ask no more than these. The choices
that make them small, logits within 1e-6 and every parameter's gradient within 2e-4 of its norm:

- 4 images of 33x33 or 64x64 (32x32 for CIFAR): torchvision's last maps are 2x2, so a norm has at
  least 16 values per channel. Fewer pixels, fewer ReLUs; odd sides also show where padding begins.
- A gradient jumps where a ReLU's input is within rounding of zero. Among millions of inputs some
  are, if they are spread around zero: 2% of error from one of them, and others on another machine.
  With norms' biases of 1 to 3 times the deviation, positive in even channels and negative in odd
  ones, hardly any input is near zero; each ReLU still cuts off half of the channels. With biases
  further out a ReLU would never change its mind within a channel, and the gradient of the bias
  would be zero but for rounding.
- The last norm of a residual block has a small weight, and a bias beyond it of the same signs, so
  the sums, too, stay away from zero however many blocks are added up.
- Of the images' names tried (1 to 60 for a net), one for which every ReLU's input is further from
  zero than float32's rounding: 2 times for resnet152, 4 or more for the others.

A gradient is stored as its norm and its dot products with four vectors of random signs (sketches).
For a difference of two gradients the root mean square of its sketches estimates its norm.

Needs numpy, PyTorch and torchvision. With --check the exit code is 1 if a file differs by more than
1e-6, and 0 if none does.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

MASK = (1 << 64) - 1
SKETCHES = 4
TOLERANCE = 1e-6
LAST_LAYER_BIASES = ("fc.bias", "classifier.bias")


# --- Values from names -----------------------------------------------------------------------


def fnv1a(name):
    """FNV-1a, 64 bits, of the name's UTF-8 bytes."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def uniform(name, count):
    """The first `count` numbers in [0, 1) of that name: splitmix64 seeded by its hash, upper 24 bits."""
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(fnv1a(name))
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24


def values(name, shape, low, high):
    """In float64 until the end, then rounded once: the same in every language."""
    u = uniform(name, math.prod(shape))
    return torch.from_numpy((low + (high - low) * u).astype(np.float32)).reshape(shape)


def value_range(name, shape, bottleneck):
    """Between which bounds a tensor's values are."""
    if len(shape) == 4:
        bound = math.sqrt(6 / (shape[1] * shape[2] * shape[3]))
        return -bound, bound
    if len(shape) == 2:
        bound = 1 / math.sqrt(shape[1])
        return -bound, bound
    if name.endswith(".running_var"):
        return 0.8, 1.2
    if name.endswith(".running_mean") or name in LAST_LAYER_BIASES:
        return -0.1, 0.1
    last = "bn3" if bottleneck else "bn2"
    ends_block = re.fullmatch(rf"layer\d+\.\d+\.{last}\.(weight|bias)", name)
    if name.endswith(".weight"):
        return (0.05, 0.1) if ends_block else (0.8, 1.2)
    return (0.1, 0.3) if ends_block else (1.0, 3.0)


def fill(net):
    """Gives all tensors of a net their values."""
    state = net.state_dict()
    bottleneck = any(".bn3." in name for name in state)
    for name, tensor in state.items():
        if name.endswith(".num_batches_tracked"):
            tensor.zero_()
            continue
        shape = tuple(tensor.shape)
        tensor.copy_(values(name, shape, *value_range(name, shape, bottleneck)))
        if len(shape) == 1 and name.endswith(".bias") and name not in LAST_LAYER_BIASES:
            tensor[1::2] *= -1


# --- The CIFAR nets, which torchvision lacks -------------------------------------------------


class CifarBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, front):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.zeros = (front, outputs - inputs - front)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        # Option A: every second pixel, new channels zero.
        kept = x[:, :, :: self.stride, :: self.stride]
        return F.relu(out + F.pad(kept, (0, 0, 0, 0, *self.zeros)))


class CifarResNet20(nn.Module):
    """The ResNet-20 of 1512.03385, section 4.2."""

    def __init__(self, split):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, 1, split)
        self.layer2 = self.stage(16, 32, 2, split)
        self.layer3 = self.stage(32, 64, 2, split)
        self.fc = nn.Linear(64, 10)

    @staticmethod
    def stage(inputs, outputs, stride, split):
        front = (outputs - inputs) // 2 if split else 0
        first = CifarBlock(inputs, outputs, stride, front)
        return nn.Sequential(first, *(CifarBlock(outputs, outputs, 1, 0) for _ in range(2)))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


# Net: how it is built, its input's shape, classes, three norms whose moving averages are stored, and
# the images' name (see above).
NETS = {
    "resnet18": (torchvision.models.resnet18, (4, 3, 33, 33), 1000,
                 ["bn1", "layer2.0.downsample.1", "layer4.1.bn2"], "images"),
    "resnet50": (torchvision.models.resnet50, (4, 3, 64, 64), 1000,
                 ["bn1", "layer3.0.downsample.1", "layer4.2.bn3"], "images-7"),
    "resnet152": (torchvision.models.resnet152, (4, 3, 33, 33), 1000,
                  ["bn1", "layer3.20.bn2", "layer4.2.bn3"], "images-9"),
    "densenet121": (torchvision.models.densenet121, (4, 3, 64, 64), 1000,
                    ["features.norm0", "features.denseblock3.denselayer12.norm2", "features.norm5"],
                    "images-47"),
    "resnet20-split": (lambda: CifarResNet20(split=True), (4, 3, 32, 32), 10,
                       ["bn1", "layer2.0.bn1", "layer3.2.bn2"], "images"),
    "resnet20-behind": (lambda: CifarResNet20(split=False), (4, 3, 32, 32), 10,
                        ["bn1", "layer2.0.bn1", "layer3.2.bn2"], "images"),
}


# --- The computation -------------------------------------------------------------------------


def compute(name, dtype):
    """Logits in evaluation mode; logits, loss, gradients and moving averages of a training step."""
    build, shape, classes, _, images_name = NETS[name]
    net = build()
    fill(net)
    net.to(dtype)
    images = values(images_name, shape, -1.0, 1.0).to(dtype)
    labels = torch.tensor([(j * 37 + 11) % classes for j in range(shape[0])])
    net.eval()
    with torch.no_grad():
        logits_eval = net(images)
    net.train()
    logits_train = net(images)
    loss = F.cross_entropy(logits_train, labels)
    loss.backward()
    return net, logits_eval, logits_train.detach(), loss.item()


def worst(result, reference):
    """Relative differences of logits (evaluation, training) and of the worst gradient; its name."""
    logits = [((a.double() - b).abs().max() / b.abs().max()).item()
              for a, b in zip(result[1:3], reference[1:3])]
    pairs = zip(result[0].named_parameters(), reference[0].parameters())
    gradients = [(((p.grad.double() - q.grad).norm() / q.grad.norm()).item(), n) for (n, p), q in pairs]
    return (*logits, *max(gradients))


def rounded(numbers, digits=9):
    return [float(f"{x:.{digits}g}") for x in numbers]


def logits_entry(logits, class_step):
    """Some classes of every row; mean and (population) deviation over all of them."""
    return {
        "class_step": class_step,
        "mean": rounded(logits.mean(1).tolist()),
        "deviation": rounded(logits.std(1, correction=0).tolist()),
        "rows": [rounded(row) for row in logits[:, ::class_step].tolist()],
    }


def gradient_entry(name, gradient):
    flat = gradient.flatten().numpy()
    sketches = []
    for j in range(SKETCHES):
        signs = np.where(uniform(f"sketch{j}:{name}", flat.size) >= 0.5, 1.0, -1.0)
        sketches.append(float(np.dot(flat, signs)))
    numbers = rounded([float(np.linalg.norm(flat)), *sketches], digits=7)
    return {"name": name, "norm": numbers[0], "sketches": numbers[1:]}


def fixture(name, reference):
    net, logits_eval, logits_train, loss = reference
    _, shape, classes, norms, images_name = NETS[name]
    state = net.state_dict()
    parameters = dict(net.named_parameters())
    ordered = [n for n in state if n in parameters]
    first = ordered[0]
    many = classes > 100
    of_torchvision = not name.startswith("resnet20")
    return {
        "net": name,
        "images": images_name,
        "input": list(shape),
        "classes": classes,
        "torch": torch.__version__.split("+")[0],
        "torchvision": torchvision.__version__.split("+")[0] if of_torchvision else None,
        "parameters": sum(p.numel() for p in parameters.values()),
        # To see first, where nothing agrees, whether the values from names do.
        "first_values": {
            images_name: rounded(values(images_name, shape, -1.0, 1.0).flatten()[:4].tolist()),
            first: rounded(state[first].flatten()[:4].tolist()),
        },
        "logits_eval": logits_entry(logits_eval, 10 if many else 1),
        "train": {
            "loss": rounded([loss])[0],
            "logits_train": logits_entry(logits_train, 50 if many else 1),
            "running": {
                norm: {kind: rounded(state[f"{norm}.{kind}"][:4].tolist())
                       for kind in ("running_mean", "running_var")}
                for norm in norms
            },
            "gradients": [gradient_entry(n, parameters[n].grad) for n in ordered],
        },
    }


# --- Files -----------------------------------------------------------------------------------


def text_of(value, nested=3):
    """JSON with one entry of the outer levels per line, so that a difference is readable."""
    if nested == 0 or not isinstance(value, (dict, list)) or not value:
        return json.dumps(value, separators=(",", ":"))
    if isinstance(value, dict):
        lines = [f"{json.dumps(k)}:{text_of(v, nested - 1)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + "\n}"
    if not isinstance(value[0], (dict, list)):
        return text_of(value, 0)
    return "[\n" + ",\n".join(text_of(v, nested - 1) for v in value) + "\n]"


def difference(here, there, path="", scale=0.0):
    """Where two fixtures differ first and how, or None. Lists are compared by their largest number."""
    if isinstance(here, dict) and isinstance(there, dict) and here.keys() == there.keys():
        # The library's version may change, its numbers may not. A sketch may be small by chance.
        keys = [key for key in here if key not in ("torch", "torchvision")]
        pairs = [(f"{path}.{key}", here[key], there[key]) for key in keys]
        scale = abs(here.get("norm", 0.0))
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        pairs = [(f"{path}[{i}]", *pair) for i, pair in enumerate(zip(here, there))]
        scale = max([scale, *(abs(x) for x in here if isinstance(x, (int, float)))])
    elif type(here) is float and isinstance(there, (int, float)):
        # Not `>`, so that NaN differs.
        close = abs(here - there) <= TOLERANCE * max(scale, abs(here))
        return None if close else f"{path}: {here} now, {there} in the file"
    else:
        same = here == there
        return None if same else f"{path}: {str(here)[:60]} now, {str(there)[:60]} in the file"
    return next(filter(None, (difference(a, b, at, scale) for at, a, b in pairs)), None)


def check(name, path):
    """Whether the file holds what is computed now; says so."""
    if not path.is_file():
        print(f"{path}: MISSING")
        return False
    differs = difference(fixture(name, compute(name, torch.float64)), json.loads(path.read_text()))
    print(f"{path}: {'DIFFERS at ' + differs if differs else 'the same'}", flush=True)
    return not differs


def generate(name, path):
    reference = compute(name, torch.float64)
    path.write_text(text_of(fixture(name, reference)) + "\n")
    evaluation, training, gradient, parameter = worst(compute(name, torch.float32), reference)
    print(
        f"{path}: {path.stat().st_size} bytes; float32 against float64: logits {evaluation:.1e},"
        f" in training {training:.1e}; gradients at most {gradient:.1e} ({parameter})",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--net", choices=NETS, help="this net only")
    parser.add_argument("--check", action="store_true", help="compare with the files, write nothing")
    options = parser.parse_args()
    names = [options.net] if options.net else list(NETS)
    if options.check:
        agree = [check(name, options.folder / f"{name}.json") for name in names]
        sys.exit(0 if all(agree) else 1)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        generate(name, options.folder / f"{name}.json")


if __name__ == "__main__":
    main()
