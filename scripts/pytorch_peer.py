#!/usr/bin/env python3
"""Trains fathom's nets with PyTorch, as its users would write it: the other side of compare_pytorch.py.

    python scripts/pytorch_peer.py step residual --depth 20 --width 16 --size 32 --channels 3 \\
        --batch 128 --threads 2 --layout channels-last --precision f32 --device cpu --seconds 3
    python scripts/pytorch_peer.py sweep --plan JSON --curves FILE.csv --layout nchw --device cpu

`step` times updates and prints one JSON object with the columns of `fathom bench`. `sweep` trains
several nets one after another and writes their curves.

What both sides have in common: the net, the batch, SGD with momentum 0.9 and weight decay 1e-4 on
all parameters, f32 unless told otherwise, images in memory as bytes and standardised batch by batch,
no augmentation. All else is PyTorch's default, but for these, which its users know: ReLUs and
additions in place, gradients set to None, cuDNN choosing its algorithms by trial. `bf16` is
autocast. `step` has three ways: eager; compiled, with mode="max-autotune", which on a GPU records CUDA
graphs as well; and recorded, where the whole update is captured as a CUDA graph by hand.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

FORMATS = {"nchw": torch.contiguous_format, "channels-last": torch.channels_last}
CLASSES = 10
# As many images of noise as `fathom bench` has of this size.
IMAGES = 4096


# --- Nets, with torchvision's names ----------------------------------------------------------


class Block(nn.Module):
    """Two convolutions, and around them a shortcut of option A (1512.03385, section 4.1) or none."""

    def __init__(self, inputs, outputs, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut, self.stride, self.added = shortcut, stride, outputs - inputs

    def identity(self, x):
        """Every second pixel where the size halves; new channels are zero and behind the old ones."""
        if self.stride == 1 and self.added == 0:
            return x
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.shortcut:
            out += self.identity(x)
        return self.relu(out)


class ResNet(nn.Module):
    """The CIFAR nets of 1512.03385, section 4.2: 6n+2 layers, with shortcuts or plain."""

    def __init__(self, depth, width, channels, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        blocks = (depth - 2) // 6
        self.layer1 = self.stage(width, width, blocks, shortcut)
        self.layer2 = self.stage(width, 2 * width, blocks, shortcut)
        self.layer3 = self.stage(2 * width, 4 * width, blocks, shortcut)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, CLASSES)

    @staticmethod
    def stage(inputs, outputs, blocks, shortcut):
        first = Block(inputs, outputs, outputs // inputs, shortcut)
        return nn.Sequential(first, *(Block(outputs, outputs, 1, shortcut) for _ in range(blocks - 1)))

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat((x, self.conv1(self.relu(self.norm1(x)))), 1)


class Transition(nn.Sequential):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.pool = nn.AvgPool2d(2)


class DenseNet(nn.Module):
    """The CIFAR nets of 1608.06993 without bottlenecks and compression: 3n+4 layers."""

    def __init__(self, depth, growth, channels):
        super().__init__()
        maps = 16
        self.features = nn.Sequential()
        self.features.conv0 = nn.Conv2d(channels, maps, 3, padding=1, bias=False)
        for block in (1, 2, 3):
            layers = nn.Sequential()
            for number in range(1, (depth - 4) // 3 + 1):
                layers.add_module(f"denselayer{number}", DenseLayer(maps, growth))
                maps += growth
            self.features.add_module(f"denseblock{block}", layers)
            if block < 3:
                self.features.add_module(f"transition{block}", Transition(maps))
        self.features.norm4 = nn.BatchNorm2d(maps)
        self.features.relu = nn.ReLU(inplace=True)
        self.features.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(maps, CLASSES)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def build(family, depth, width, channels):
    """`width` is the growth rate of a dense net."""
    if family == "dense":
        net = DenseNet(depth, width, channels)
    else:
        net = ResNet(depth, width, channels, shortcut=family == "residual")
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


# --- Training --------------------------------------------------------------------------------


class Images:
    """Random bytes on the device: what the images show does not change how long an update takes."""

    def __init__(self, count, channels, size, device, layout):
        self.pixels = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, device=device)
        self.labels = torch.randint(0, CLASSES, (count,), device=device)
        part = self.pixels[:1000].float()
        self.mean = part.mean((0, 2, 3), keepdim=True)
        self.std = part.std((0, 2, 3), keepdim=True)
        self.format = FORMATS[layout]
        self.order, self.at = None, count

    def take(self, indices):
        images = self.pixels.index_select(0, indices).to(torch.float32, memory_format=self.format)
        return images.sub_(self.mean).div_(self.std), self.labels.index_select(0, indices)

    def batch(self, size):
        """The next batch of a random order, which is drawn anew where less than one is left of it."""
        count = len(self.labels)
        if self.at + size > count:
            self.order, self.at = torch.randperm(count, device=self.labels.device), 0
        self.at += size
        return self.take(self.order[self.at - size : self.at])


class Trainer:
    def __init__(self, family, depth, width, channels, lr, *, layout, device, precision="f32", way="eager",
                 momentum=0.9, weight_decay=1e-4):
        self.net = build(family, depth, width, channels).to(device=device, memory_format=FORMATS[layout])
        self.net.train()
        self.criterion = nn.CrossEntropyLoss()
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr, momentum, weight_decay=weight_decay)
        self.forward, self.autocast = self.net, nullcontext
        if way == "compiled":
            self.forward = torch.compile(self.net, mode="max-autotune")
        if precision == "bf16":
            self.autocast = lambda: torch.autocast(torch.device(device).type, dtype=torch.bfloat16)

    def step(self, images, labels):
        self.optimiser.zero_grad(set_to_none=True)
        with self.autocast():
            loss = self.criterion(self.forward(images), labels)
        loss.backward()
        self.optimiser.step()
        return loss.detach()


class Recorded:
    """An update of a trainer as a CUDA graph, which reads its batch from memory of its own."""

    def __init__(self, trainer, images, labels):
        self.images, self.labels = images.clone(memory_format=torch.preserve_format), labels.clone()
        # Algorithms are chosen and memory is allocated before, on a stream of its own as CUDA asks.
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(3):
                trainer.step(self.images, self.labels)
        torch.cuda.current_stream().wait_stream(beside)
        trainer.optimiser.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = trainer.step(self.images, self.labels)

    def step(self, images, labels):
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.graph.replay()
        return self.loss


def prepare(device, precision):
    if device == "cpu":
        return
    if not torch.cuda.is_available():
        raise SystemExit(f"pytorch_peer: error: --device {device}: PyTorch sees no CUDA device")
    torch.cuda.set_device(device if ":" in device else 0)
    # Said in full: by default convolutions are in TF32, and products of matrices are not.
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True


def wait(device):
    if device != "cpu":
        torch.cuda.synchronize()


def since_start():
    """Seconds since this process was started, to a hundredth, imports and all; None if not told."""
    try:
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        # The 22nd word; the second one is a name and ends with a bracket.
        started = float(Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19])
    except OSError:
        return None
    return uptime - started / os.sysconf("SC_CLK_TCK")


# --- What can be asked -----------------------------------------------------------------------


def step(options):
    """Times updates in groups, after three that do not count: as `fathom bench` does."""
    torch.set_num_threads(options.threads)
    device = options.device
    prepare(device, options.precision)
    images = Images(max(IMAGES, options.batch), options.channels, options.size, device, options.layout)
    # The rate is small, as in `fathom bench`: a diverging net is slower for its subnormal numbers.
    trainer = Trainer(options.family, options.depth, options.width, options.channels, 1e-5,
                      layout=options.layout, device=device, precision=options.precision, way=options.way)
    if options.way == "recorded":
        trainer = Recorded(trainer, *images.batch(options.batch))
    data = []

    def group(size):
        begun = time.perf_counter()
        for _ in range(size):
            clock = time.perf_counter()
            batch = images.batch(options.batch)
            data.append(time.perf_counter() - clock)
            trainer.step(*batch)
        # Waiting for each update would leave a GPU idle in between.
        wait(device)
        return (time.perf_counter() - begun) / size

    size = 1 if device == "cpu" else 10
    group(1)
    startup = since_start()
    for _ in range(3):
        group(size)
    data.clear()
    steps, begun = [], time.perf_counter()
    while time.perf_counter() - begun < options.seconds or len(steps) < 3:
        steps.append(group(size))
    median = statistics.median(steps)
    tenths = statistics.quantiles(steps, n=10, method="inclusive")
    # On a GPU what its tensors need, as `fathom bench` tells it; kibibytes on Linux.
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = host if device == "cpu" else torch.cuda.max_memory_allocated()
    print(json.dumps({
        "images_per_s": options.batch / median, "step_ms": 1e3 * median,
        "step_p10_ms": 1e3 * tenths[0], "step_p90_ms": 1e3 * tenths[-1],
        "steps": size * len(steps), "data_ms": 1e3 * statistics.median(data),
        "peak_memory_mb": 1e-6 * peak, "startup_s": startup,
    }))


@torch.no_grad()
def errors(net, images, count, batch):
    """Mean loss, and error in per cent, of the first `count` images in evaluation mode."""
    net.eval()
    device = images.labels.device
    loss = torch.zeros((), device=device)
    wrong = torch.zeros((), device=device, dtype=torch.int64)
    for indices in torch.arange(count, device=device).split(batch):
        pixels, labels = images.take(indices)
        logits = net(pixels)
        loss += F.cross_entropy(logits, labels, reduction="sum")
        wrong += (logits.argmax(1) != labels).sum()
    net.train()
    return loss.item() / count, 100 * wrong.item() / count


CURVES = ["family", "depth", "step", "lr", "train_loss", "train_err_pct", "train_images",
          "train_loss_running", "test_loss", "test_err_pct", "seconds"]


def sweep(options):
    """Nets one after another, evaluated when fathom evaluates: before the first update, every so
    many, and after the last one on all training images. What fathom does beyond that, the error
    with fresh statistics in the first and the last row, is left out."""
    plan, device = json.loads(options.plan), options.device
    prepare(device, "f32")
    # fathom's own sizes of a forward pass in evaluation.
    at_once = 250 if device == "cpu" else 1000
    with options.curves.open("w", newline="") as file:
        curves = csv.writer(file)
        curves.writerow(CURVES)
        # fathom draws its `shapes` within the time that is measured; noise is sooner made.
        train, test = (Images(plan[part], plan["channels"], plan["size"], device, options.layout)
                       for part in ("train", "test"))
        for family, depth in plan["nets"]:
            trainer = Trainer(family, depth, plan["width"], plan["channels"], plan["lr"], layout=options.layout,
                              device=device, momentum=plan["momentum"], weight_decay=plan["weight_decay"])
            last = plan["iterations"]
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(trainer.optimiser, last)
            begun, running, since = time.perf_counter(), torch.zeros((), device=device), 0
            for number in range(last + 1):
                lr = trainer.optimiser.param_groups[0]["lr"]
                if number > 0:
                    running += trainer.step(*train.batch(plan["batch"]))
                    since += 1
                    schedule.step()
                if number % plan["every"] and number != last:
                    continue
                count = plan["train"] if number == last else plan["train_images"]
                on_train = errors(trainer.net, train, count, at_once)
                on_test = errors(trainer.net, test, plan["test"], at_once)
                mean = running.item() / since if since else ""
                curves.writerow([family, depth, number, lr, *on_train, count, mean, *on_test,
                                 time.perf_counter() - begun])
                file.flush()
                running.zero_()
                since = 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("step", help="time updates of one net")
    one.set_defaults(run=step)
    one.add_argument("family", choices=["plain", "residual", "dense"])
    for flag in ("--depth", "--size", "--channels", "--batch", "--threads"):
        one.add_argument(flag, type=int, required=True)
    one.add_argument("--width", "--growth", type=int, required=True, help="of the first stage; growth of a dense net")
    one.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32")
    one.add_argument("--way", choices=["eager", "compiled", "recorded"], default="eager",
                     help="recorded: on a GPU only")
    one.add_argument("--seconds", type=float, default=3.0)
    many = commands.add_parser("sweep", help="train nets one after another")
    many.set_defaults(run=sweep)
    many.add_argument("--plan", required=True, help="what to train, as compare_pytorch.py passes it")
    many.add_argument("--curves", type=Path, required=True)
    for command in (one, many):
        command.add_argument("--layout", choices=FORMATS, default="nchw")
        command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:0")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
