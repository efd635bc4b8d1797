import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from features.backbones.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess

SIZES = [(64, 64), (64, 40), (40, 64), (333, 217), (31, 200), (9, 9), (500, 400)]
GREY_LEVELS = 2


def picture(size: tuple[int, int]) -> Image.Image:
    """Smooth and edges both: a coarse random image, enlarged."""
    coarse = np.random.default_rng(size[0]).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("fit", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_within_two_grey_levels_of_open_clips_own_transform(size, fit, interpolation):
    spec = Preprocess(size=48, resize=48, interpolation=interpolation, fit=fit)
    config = PreprocessCfg(
        size=48, mean=IMAGENET_MEAN, std=IMAGENET_STD, interpolation=interpolation, resize_mode=fit, fill_color=0
    )
    theirs = image_transform_v2(config, is_train=False)(picture(size))
    pixels = spec.pixels(picture(size))
    assert pixels.shape == (3, 48, 48) and pixels.dtype == torch.uint8
    ours = spec.normalise(pixels[None], torch.float32)[0]
    level = torch.tensor(IMAGENET_STD).view(3, 1, 1) * 255
    assert ((ours - theirs).abs() * level).max() <= GREY_LEVELS + 0.01


def test_centre_crop_after_a_larger_resize_is_torchvisions():
    from torchvision.transforms._presets import ImageClassification

    theirs = ImageClassification(crop_size=32, resize_size=40)(picture((90, 60)))
    spec = Preprocess(size=32, resize=40, interpolation="bilinear")
    ours = spec.normalise(spec.pixels(picture((90, 60)))[None], torch.float32)[0]
    assert ((ours - theirs).abs() * torch.tensor(IMAGENET_STD).view(3, 1, 1) * 255).max() <= GREY_LEVELS + 0.01


def test_crops_are_parts_of_a_closer_picture():
    spec = Preprocess(size=56, resize=56)
    views = spec.views(picture((64, 64)), 5)
    assert views.shape == (6, 3, 56, 56)
    assert torch.equal(views[0], spec.pixels(picture((64, 64))))
    large = Preprocess(size=64, resize=64).pixels(picture((64, 64)))
    parts = [large[:, 4:60, 4:60], large[:, :56, :56], large[:, :56, 8:], large[:, 8:, :56], large[:, 8:, 8:]]
    assert all(torch.equal(crop, part) for crop, part in zip(views[1:], parts, strict=True))


def test_the_sidecar_says_everything_and_survives_json():
    import json

    described = Preprocess(size=56, resize=64).describe()
    assert described["version"] == 1 and described["resize"] == 64
    assert json.loads(json.dumps(described)) == described
