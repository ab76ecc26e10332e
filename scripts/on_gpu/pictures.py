"""Pictures of ten classes that a net tells apart within a few updates, as PNG files.

Each class has a pattern of 3x3 coloured patches; noise is added to it. The same bytes on every machine.
"""

import random
import struct
import zlib

CLASSES = 10
SIZE = 12
PATCHES = 3


def png(size, pixels):
    """A PNG file of size x size pixels, three bytes each, row by row."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + pixels[3 * size * y : 3 * size * (y + 1)] for y in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1))
            + chunk(b"IEND", b""))


def pattern(draw):
    """The brightness of every byte of a class before noise."""
    colours = [[draw.randrange(78, 179) for _ in range(3)] for _ in range(PATCHES * PATCHES)]
    return bytes(value for y in range(SIZE) for x in range(SIZE)
                 for value in colours[y * PATCHES // SIZE * PATCHES + x * PATCHES // SIZE])


def draw_pictures(folder, train, test):
    """Writes `train` and `test` pictures, an equal number of each class, unless they are there."""
    done = folder / f"{train}-{test}"
    if done.exists():
        return
    draw = random.Random(7)
    patterns = [pattern(draw) for _ in range(CLASSES)]
    for part, count in (("train", train), ("test", test)):
        for number, base in enumerate(patterns):
            place = folder / part / f"class-{number}"
            place.mkdir(parents=True, exist_ok=True)
            for index in range(count // CLASSES):
                # The sum of two bytes has a deviation of 104; an eighth of it is added.
                noise = draw.randbytes(2 * len(base))
                pixels = bytes(value + (one + two >> 3) - 32
                               for value, one, two in zip(base, noise, noise[len(base):]))
                (place / f"{index:04}.png").write_bytes(png(SIZE, pixels))
    done.touch()
