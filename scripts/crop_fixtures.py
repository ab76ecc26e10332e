#!/usr/bin/env python3
"""What torchvision makes of fixed crops: tests/fixtures/crops.json.

    python scripts/crop_fixtures.py > tests/fixtures/crops.json    (needs torchvision and pillow)

The image is a formula that the test has too: value (row * 7 + column * 13 + channel * 50 +
row * column) mod 256.
"""

import json

import torch
import torchvision
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms.functional import InterpolationMode

HEIGHT, WIDTH = 45, 60


def image():
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            value = row * 7 + column * 13 + row * column
            picture.putpixel((column, row), tuple((value + 50 * c) % 256 for c in range(3)))
    return picture


def pixels(picture):
    return {"height": picture.height, "width": picture.width, "pixels": list(picture.tobytes())}


def main():
    picture = image()
    bilinear = InterpolationMode.BILINEAR
    crops = []
    for top, left, height, width in [(0, 0, 45, 60), (3, 5, 30, 40), (10, 20, 9, 7), (0, 17, 45, 11), (30, 0, 4, 60)]:
        made = F.resized_crop(picture, top, left, height, width, [12, 12], bilinear, antialias=True)
        crops.append({"window": [top, left, height, width], **pixels(made)})
    resized = F.resize(picture, [16], bilinear, antialias=True)
    middle = F.center_crop(picture, [12])
    torch.manual_seed(0)
    square = torch.zeros(3, 256, 256)
    random = torchvision.transforms.RandomResizedCrop.get_params
    drawn = [random(square, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(20_000)]
    areas = [height * width / 256**2 for _, _, height, width in drawn]
    print(json.dumps({
        "mean_area_of_random_crops": sum(areas) / len(areas),
        "torchvision": torchvision.__version__,
        "crops": crops,
        "resized": pixels(resized),
        "middle": pixels(middle),
    }))


if __name__ == "__main__":
    main()
