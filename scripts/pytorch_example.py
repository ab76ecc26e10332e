#!/usr/bin/env python3
"""A PyTorch loop that writes its runs as fathom does: plain nets of two depths on noisy stripes.

    python scripts/pytorch_example.py results/pytorch
    fathom check results/pytorch
    fathom plot results/pytorch
"""

import sys
from pathlib import Path

import torch
from torch import nn

from fathom_writer import Run

CLAIM = """name = "pytorch"

[[claim]]
name = "the shallow net learns something"
of = { family = "plain", depth = 4 }
at_most = 60
"""


def images(count, generator):
    """Stripes of one of four widths under noise."""
    labels = torch.randint(4, (count,), generator=generator)
    columns = torch.arange(16).float()
    stripes = torch.sin(columns * (labels[:, None] + 1) * 0.6)
    noise = torch.randn(count, 1, 16, 16, generator=generator)
    return stripes[:, None, None, :] + 0.5 * noise, labels


def net(depth):
    layers = [nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    for _ in range(depth - 2):
        layers += [nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


def error(model, data):
    model.eval()
    with torch.no_grad():
        wrong = (model(data[0]).argmax(1) != data[1]).float().mean().item()
    model.train()
    return round(100 * wrong, 3)


def main(results):
    for depth in (4, 12):
        for seed in (0, 1, 2):
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed)
            train, test = images(512, generator), images(256, generator)
            model = net(depth)
            optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
            config = {"network.family": "plain", "network.depth": depth, "training.lr": 0.05, "seed": seed}
            axes = ["network.family", "network.depth", "seed"]
            run = Run(results, config, axes, classes=4,
                      parameters=sum(weights.numel() for weights in model.parameters()))
            run.row(step=0, train_err_pct=error(model, train), test_err_pct=error(model, test))
            for step in range(1, 41):
                batch = torch.randint(512, (64,), generator=generator)
                loss = nn.functional.cross_entropy(model(train[0][batch]), train[1][batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                if step % 10 == 0:
                    run.row(step=step, lr=0.05, train_err_pct=error(model, train),
                            test_err_pct=error(model, test))
            run.done()
    Path(results, "experiment.toml").write_text(CLAIM)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "results/pytorch")
