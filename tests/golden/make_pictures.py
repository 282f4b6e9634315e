#!/usr/bin/env python3
"""Makes tests/fuzz/pictures, a small picture of each kind, and pictures.json, their pixels as Pillow's convert("RGB")
gives them, which is what torchvision's ImageFolder gives.

    python3 tests/golden/make_pictures.py
"""
import json
import pathlib

import numpy
from PIL import Image, features

H, W = 11, 19
here = pathlib.Path(__file__).parent
folder = here.parent / "fuzz" / "pictures"

rows, columns = numpy.mgrid[0:H, 0:W]
ramp = numpy.stack([rows * 23, columns * 13, (rows * columns * 5) % 256, 255 - rows * 9 - columns * 7], -1).astype(numpy.uint8)
noise = numpy.random.default_rng(1).integers(0, 256, (H, W, 4), dtype=numpy.uint8)
mixed = (ramp // 2 + noise // 4).astype(numpy.uint8)
rgb = Image.fromarray(mixed[..., :3])

pictures = {
    "colour-420.jpg": (rgb, dict(quality=90, subsampling=2)),
    "colour-422.jpg": (rgb, dict(quality=60, subsampling=1)),
    "colour-444.jpg": (rgb, dict(quality=95, subsampling=0)),
    "progressive.jpg": (rgb, dict(quality=80, progressive=True)),
    "grey.jpg": (rgb.convert("L"), dict(quality=85)),
    "inks.jpg": (Image.frombytes("CMYK", (W, H), mixed.tobytes()), dict(quality=90)),
    "colour.png": (rgb, {}),
    "alpha.png": (Image.fromarray(mixed), {}),
    "grey-alpha.png": (Image.fromarray(mixed).convert("LA"), {}),
    "palette.png": (rgb.quantize(13), dict(transparency=3)),
    "bits.png": (rgb.convert("1"), {}),
}

values = {}
for name, (picture, how) in pictures.items():
    picture.save(folder / name, **how)
    with Image.open(folder / name) as again:
        values[name] = {"H": again.height, "W": again.width, "rgb": again.convert("RGB").tobytes().hex()}
jpeg = "libjpeg-turbo " + features.version("libjpeg_turbo") if features.check("libjpeg_turbo") else "libjpeg"
values = {"made_by": f"Pillow {Image.__version__}, {jpeg}", "pictures": values}
(here / "pictures.json").write_text(json.dumps(values, indent=1) + "\n")
print(values["made_by"])
