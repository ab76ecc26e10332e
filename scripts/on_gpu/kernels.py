#!/usr/bin/env python3
"""Prints PyTorch's kernels of one update of ResNet-20 as CSV: name, calls, microseconds on the GPU.

    python scripts/on_gpu/kernels.py f32|bf16 [--device cuda]

The net and its update are those of scripts/pytorch_peer.py, operation by operation; bf16 by autocast. Needs
torch with CUDA.
"""

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

UPDATES = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("precision", choices=["f32", "bf16"])
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    import torch
    from torch.profiler import ProfilerActivity, profile

    from pytorch_peer import Images, Trainer, prepare
    prepare(options.device, options.precision)
    layout = "nchw" if options.precision == "f32" else "channels-last"
    images = Images(5000, 3, 32, options.device, layout)
    trainer = Trainer("residual", 20, 16, 3, 1e-5, layout=layout, device=options.device)
    if options.precision == "bf16":
        trainer.autocast = lambda: torch.autocast("cuda", dtype=torch.bfloat16)
    for _ in range(5):
        trainer.step(*images.batch(128))
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        for _ in range(UPDATES):
            trainer.step(*images.batch(128))
        torch.cuda.synchronize()
    rows = [(event.key, event.count / UPDATES, event.self_device_time_total / UPDATES) for event in found.key_averages()
            if event.self_device_time_total > 0]
    table = csv.writer(sys.stdout)
    table.writerow(["kernel", "calls_per_update", "microseconds_per_update"])
    for name, count, time in sorted(rows, key=lambda row: -row[2]):
        table.writerow([name, f"{count:g}", f"{time:.2f}"])


if __name__ == "__main__":
    main()
