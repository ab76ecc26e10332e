"""The stage `data`: CIFAR-10 from parts that are small enough to be brought one by one."""

from .box import GoesOn

# Of CIFAR-10: each part is a picture NAME.webp of 10,000 images with NAME.labels beside it.
PARTS = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
FOLDER = "cifar-10-batches-bin"
LARGEST = 50 * 2**20


def missing(folder, names=PARTS):
    """Parts of which one of the two files is not in a folder, and which file that is."""
    return [f"{name}{suffix}" for name in names for suffix in (".webp", ".labels")
            if not (folder / f"{name}{suffix}").is_file()]


def stage(box):
    target = box.options.data / FOLDER
    wanted = [name for name in PARTS if not (target / f"{name}.bin").is_file()]
    if not wanted:
        box.say(f"CIFAR-10 is in {target}")
    absent = missing(box.options.parts, wanted)
    ready = [name for name in wanted if not any(file.startswith(f"{name}.") for file in absent)]
    if ready:
        box.options.data.mkdir(parents=True, exist_ok=True)
        files = [box.options.parts / f"{name}.webp" for name in ready]
        for file in files:
            if file.stat().st_size > LARGEST:
                box.say(f"note: {file.name} is larger than 50 MiB")
        box.say(f"taking in {', '.join(ready)}")
        box.run("data-import", [box.fathom, "data", "import", *files])
    left = [name for name in wanted if name not in ready]
    if left:
        box.rows.append(["data", "incomplete", "", f"{len(PARTS) - len(left)} of {len(PARTS)} parts are there"])
        raise GoesOn(f"these are missing in {box.options.parts}: {', '.join(absent)}; bring them, and give the same "
                     "command again")
    box.run("data-verify", [box.fathom, "data", "verify", "cifar10"])
    box.rows.append(["data", "done" if wanted else "there already", "", f"{len(PARTS)} parts, verified"])
