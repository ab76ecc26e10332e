"""Results in a few small files: at most FILES of at most LIMIT bytes, in one flat folder."""

import lzma
import tarfile

FILES = 8
LIMIT = 16 * 2**20
# Weights hardly compress: a higher one took 36 s for 36 MB and saved nothing.
PRESET = 1
# What each archive and each member may need besides its compressed bytes.
SPARE, HEADER = 64 * 2**10, 600
SKIPPED = ("packed", "cuda-check-pictures")


def order(path, is_running):
    """What is packed first: text before figures, and checkpoints of unfinished runs last. None: left out."""
    if path.name.startswith("checkpoint.previous"):
        return None
    if path.name.startswith("checkpoint"):
        return 2 if is_running(path.parent) else None
    if path.suffix in (".lock", ".draft") or any(part in SKIPPED for part in path.parts):
        return None
    return 1 if path.suffix in (".png", ".html") else 0


def shared_out(sizes, limit=LIMIT, files=FILES):
    """Names dealt out to archives in their order, by compressed size; and those that find no place."""
    archives, rooms, left_out = [], [], []
    for name, size in sizes:
        need = size + HEADER
        place = next((index for index, room in enumerate(rooms) if room >= need), None)
        if place is None and len(archives) < files and need <= limit - SPARE:
            archives.append([])
            rooms.append(limit - SPARE)
            place = len(archives) - 1
        if place is None:
            left_out.append(name)
        else:
            archives[place].append(name)
            rooms[place] -= need
    return archives, left_out


def pack(out, data, is_running, limit=LIMIT, files=FILES):
    """Packs a folder, without that of data sets, into its own sub-folder `packed`; the archives, and the
    files that are not in them."""
    place = out / "packed"
    place.mkdir(exist_ok=True)
    for old in place.glob("results-*.tar.xz"):
        old.unlink()
    found = []
    for path in sorted(out.rglob("*")):
        if path.is_file() and not path.is_symlink() and data not in path.parents:
            rank = order(path.relative_to(out), lambda folder: is_running(out / folder))
            if rank is not None:
                found.append((rank, path))
    found.sort(key=lambda one: one[0])
    # Compressed one by one they need more than together.
    sizes = [(path, len(lzma.compress(path.read_bytes(), preset=PRESET))) for _, path in found]
    archives, left_out = shared_out(sizes, limit, files)
    written = []
    for number, paths in enumerate(archives, 1):
        archive = place / f"results-{number}.tar.xz"
        with tarfile.open(archive, "w:xz", preset=PRESET) as tar:
            for path in paths:
                tar.add(path, path.relative_to(out))
        written.append(archive)
    return written, left_out
