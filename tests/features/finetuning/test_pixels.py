"""The resident bytes are what decoding each image alone gives."""

import os

import numpy as np
import pytest
import torch
from grouped_images import write_groups

from data.images.decode import decode
from data.tables.rows import read_images
from features.backbones.preprocess import Preprocess
from features.finetuning import pixels
from features.finetuning.pixels import load_pixels, pixels_key

PREPROCESS = Preprocess(size=12, resize=12)
CPU = torch.device("cpu")
ROWS = np.array([0, 3, 4, 11, 30])


def loaded(source, cache, **more):
    return load_pixels(
        source, ROWS, total=48, preprocess=PREPROCESS, cache=cache, key="k" * 64, workers=0, device=CPU, **more
    )


@pytest.mark.parametrize("grey", [True, False])
def test_as_each_image_alone(tmp_path, grey):
    source = write_groups(tmp_path / "images.parquet", grey=grey)
    found = loaded(source, tmp_path / "cache")
    assert found.images.shape == (5, 1 if grey else 3, 12, 12)
    asked = torch.tensor([30, 0, 4, 4])
    alone = [PREPROCESS.pixels(decode(blob)) for blob in read_images(source, asked.numpy())]
    assert torch.equal(found.take(asked).expand(-1, 3, -1, -1), torch.stack(alone))


def test_the_file_is_found_again_and_half_a_file_is_none(tmp_path):
    source = write_groups(tmp_path / "images.parquet", grey=True)
    counted = []
    first = loaded(source, tmp_path / "cache", progress=counted.append)
    assert sum(counted) == 5
    again = loaded(source, tmp_path / "cache", progress=counted.append).images.clone()
    assert sum(counted) == 5 and torch.equal(first.images, again)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert torch.equal(loaded(source, tmp_path / "cache", progress=counted.append).images, again)
    assert sum(counted) == 10


def test_colour_after_the_first_batch(tmp_path, monkeypatch):
    """The file begun for grey pictures is given up for one of three channels, and nothing else is left."""
    monkeypatch.setattr(pixels, "BATCH", 2)
    source = write_groups(tmp_path / "images.parquet")
    grey = write_groups(tmp_path / "grey.parquet", grey=True)
    decoded = pixels.load_images

    def first_batch_grey(asked, batches, **more):
        mixed = [next(decoded(grey if place == 0 else asked, [one], **more)) for place, one in enumerate(batches)]
        return iter(mixed)

    monkeypatch.setattr(pixels, "load_images", first_batch_grey)
    assert loaded(source, tmp_path / "cache").images.shape == (5, 3, 12, 12)
    assert [file.name[-5:] for file in (tmp_path / "cache").iterdir()] == ["-3.u8"]


def test_the_key_holds_what_decides_the_bytes():
    keys = {
        pixels_key("images", ROWS, PREPROCESS, "code"),
        pixels_key("other", ROWS, PREPROCESS, "code"),
        pixels_key("images", ROWS[1:], PREPROCESS, "code"),
        pixels_key("images", ROWS, Preprocess(size=12, resize=14), "code"),
        pixels_key("images", ROWS, PREPROCESS, "edited"),
    }
    assert len(keys) == 5


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    source, cache = write_groups(tmp_path / "images.parquet", grey=True), tmp_path / "cache"
    cache.mkdir()
    part = cache / ".pixels-1.u8.00000000-1.part"
    part.write_bytes(bytes(1000))
    os.utime(part, (0, 0))
    loaded(source, cache)
    assert not list(cache.glob(".*"))


@pytest.mark.parametrize("place", [0, 700, -1])
def test_a_changed_bit_or_a_part_is_decoded_anew(tmp_path, place):
    source, cache = write_groups(tmp_path / "images.parquet"), tmp_path / "cache"
    before = loaded(source, cache).images.clone()
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    for damaged in (content, content[:-40]):
        file.unlink()  # not in place: it is mapped
        file.write_bytes(damaged)
        assert torch.equal(loaded(source, cache).images, before)
