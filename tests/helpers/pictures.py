"""Small pictures for the tests of data."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int = 0, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    """A smooth random picture: what a lossy format changes is small."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png(seed: int = 0, size: tuple[int, int] = (24, 16)) -> bytes:
    return encoded(picture(seed, size))


def class_folder(top: Path, classes: int = 4, images: int = 10, *, start: int = 0) -> Path:
    """`top/class0/0.png`, ...: every picture differs."""
    for group in range(classes):
        folder = top / f"class{group}"
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(start, start + images):
            (folder / f"{index}.png").write_bytes(png(1000 * group + index))
    return top
