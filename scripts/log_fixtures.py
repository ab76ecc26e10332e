#!/usr/bin/env python3
"""Makes tests/fixtures/logs with the programs that write such logs.

    python scripts/log_fixtures.py tests/fixtures/logs
    (needs torch, lightning, keras, tensorboard and tensorboardX; event files hold the time of writing)

Made with lightning 2.6.6, keras 3.15.1 on PyTorch 2.11, tensorboard 2.21.0 and tensorboardX 2.6.5.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import lightning.pytorch as lightning
import tensorboardX
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.utils import tensorboard
from torch.utils.data import DataLoader, TensorDataset


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def step(self, batch, name):
        images, labels = batch
        out = self.layer(images)
        loss = torch.nn.functional.cross_entropy(out, labels)
        accuracy = (out.argmax(1) == labels).float().mean()
        self.log_dict({f"{name}_loss": loss, f"{name}_acc": accuracy}, on_step=False, on_epoch=True)
        return loss

    def training_step(self, batch, _):
        return self.step(batch, "train")

    def validation_step(self, batch, _):
        self.step(batch, "val")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def lightning_log(images, labels, out):
    data = DataLoader(TensorDataset(images, labels), batch_size=16)
    with tempfile.TemporaryDirectory() as folder:
        logger = CSVLogger(folder, name="", version="")
        trainer = lightning.Trainer(max_epochs=4, logger=logger, accelerator="cpu", num_sanity_val_steps=0,
                                    enable_checkpointing=False, enable_progress_bar=False)
        trainer.fit(Net(), data, data)
        shutil.copy(Path(folder, "metrics.csv"), out / "lightning-metrics.csv")


def keras_log(images, labels, out):
    net = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss, metrics=["accuracy"])
    images, labels = images.numpy(), labels.numpy()
    logger = keras.callbacks.CSVLogger(str(out / "keras-training.log"))
    net.fit(images, labels, batch_size=16, epochs=4, validation_data=(images, labels), verbose=0,
            callbacks=[logger])


def event_file(library, file, **options):
    """Losses and accuracies of steps 0 to 40; `new_style` writes tensors in the place of numbers."""
    with tempfile.TemporaryDirectory() as folder:
        writer = library.SummaryWriter(folder)
        writer.add_text("note", "no scalar", 0)
        for step in range(0, 50, 10):
            writer.add_scalar("train/loss", 2.3 / (1 + step), step)
            writer.add_scalar("test/accuracy", 0.1 + step / 100, step, **options)
        writer.close()
        shutil.copy(next(Path(folder).glob("events*")), file)


def main(out):
    lightning.seed_everything(0, verbose=False)
    images = torch.randn(64, 4)
    labels = (images.sum(1) > 0).long()
    lightning_log(images, labels, out)
    keras_log(images, labels, out)
    event_file(tensorboardX, out / "tensorboardX.tfevents")
    event_file(tensorboard, out / "torch.tfevents", new_style=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
