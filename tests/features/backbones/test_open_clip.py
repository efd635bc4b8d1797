"""Published CLIP weights are not on every machine: the path is proved with small checkpoints made here."""

import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_images import encode, write_images

from data.images.decode import decode
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.extraction.extract import extract_rows
from features.extraction.replicas import Compute
from features.settings import Backbone

TEXT = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 8}
CONFIGS = {
    "tiny-vit": {"embed_dim": 24, "vision_cfg": VIT, "text_cfg": TEXT},
    "tiny-vit-quickgelu": {"embed_dim": 24, "quick_gelu": True, "vision_cfg": VIT, "text_cfg": TEXT},
    "tiny-resnet": {"embed_dim": 24, "vision_cfg": RESNET, "text_cfg": TEXT},
}


@pytest.fixture(scope="module", autouse=True)
def tiny_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    for name, config in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    paths, configs = list(open_clip.factory._MODEL_CONFIG_PATHS), dict(open_clip.factory._MODEL_CONFIGS)
    open_clip.add_model_config(folder)
    yield
    open_clip.factory._MODEL_CONFIG_PATHS[:] = paths
    open_clip.factory._MODEL_CONFIGS = configs


def checkpoint(folder, model: str, suffix: str):
    torch.manual_seed(7)
    clip = open_clip.create_model(model, pretrained_text=False)
    for module in clip.modules():  # as after training: norms that do something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    path = folder / f"{model}{suffix}"
    if suffix == ".safetensors":
        save_file(clip.state_dict(), path)
    else:
        torch.save({"state_dict": {f"module.{key}": value for key, value in clip.state_dict().items()}}, path)
    return path


def ours(source, network, count):
    compute = Compute(devices=(torch.device("cpu"),), dtype=torch.float32, batch=4, workers=0)
    blocks = extract_rows(source, [str(i) for i in range(count)], np.arange(count), network, compute=compute)
    return torch.from_numpy(np.concatenate([features for _, features in blocks])[:, 0]).float()


@pytest.mark.parametrize("model", ["tiny-vit", "tiny-vit-quickgelu", "tiny-resnet"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_features_are_those_of_open_clip_itself(tmp_path, model, suffix):
    path = checkpoint(tmp_path, model, suffix)
    blobs = [encode(seed, size) for seed, size in enumerate([(90, 60), (60, 90), (64, 64), (200, 150), (33, 40)])]
    source = write_images(tmp_path / "images.parquet", blobs)
    clip, _, transform = open_clip.create_model_and_transforms(model, pretrained=str(path))
    with torch.inference_mode():
        theirs = clip.eval().encode_image(torch.stack([transform(decode(blob)) for blob in blobs]))
    network = load_backbone("mine", Backbone(library="open_clip", model=model, weights=str(path)))
    cosine = torch.cosine_similarity(ours(source, network, len(blobs)), theirs)
    assert theirs.std(0).min() > 0  # the pictures differ for this network
    assert cosine.min() >= 0.9999


def test_grid_is_the_map_before_pooling(tmp_path):
    for model, channels in (("tiny-vit", 32), ("tiny-resnet", 8 * 32)):
        path = checkpoint(tmp_path, model, ".safetensors")
        entry = Backbone(library="open_clip", model=model, weights=str(path), output="grid", grid=2)
        images = torch.randn(3, 3, *[CONFIGS[model]["vision_cfg"]["image_size"]] * 2)
        with torch.inference_mode():
            assert load_backbone("mine", entry).module(images).shape == (3, channels * 4)


def test_stages_are_a_towers_own(tmp_path):
    for model, stages, channels in (("tiny-vit", (0, 1), 32 + 32), ("tiny-resnet", (1, 3), 8 * (4 + 16))):
        path = checkpoint(tmp_path, model, ".safetensors")
        entry = Backbone(library="open_clip", model=model, weights=str(path), output="grid", grid=2, stages=stages)
        images = torch.randn(3, 3, *[CONFIGS[model]["vision_cfg"]["image_size"]] * 2)
        with torch.inference_mode():
            assert load_backbone("mine", entry).module(images).shape == (3, channels * 4)
            both = load_backbone("mine", entry.model_copy(update={"std_pool": True})).module(images)
            assert both.shape == (3, 2 * channels * 4)
        with pytest.raises(FeatureError, match=r"^backbones.mine.stages: no stage 9; this network has 0 to \d$"):
            load_backbone("mine", entry.model_copy(update={"stages": (9,)}))


def test_random_is_the_same_every_time_and_leaves_the_global_seed_alone():
    entry = Backbone(library="open_clip", model="tiny-vit", weights="random")
    torch.manual_seed(1)
    first = load_backbone("mine", entry)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))
    assert first.weights_sha256 == load_backbone("mine", entry).weights_sha256


def refused(model: str, weights: str) -> str:
    with pytest.raises(FeatureError) as error:
        load_backbone("mine", Backbone(library="open_clip", model=model, weights=weights))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_quickgelu_mismatch_is_an_error():
    message = refused("ViT-B-32", "openai")
    assert "'openai' was trained with QuickGELU and ViT-B-32 is built without it" in message
    assert message.endswith("set backbones.mine.model to ViT-B-32-quickgelu")


def test_a_resnet_tower_has_no_gelu_to_mismatch(monkeypatch, tmp_path):
    path = checkpoint(tmp_path, "RN50", ".safetensors")
    monkeypatch.setattr("features.backbones.open_clip.hub_file", lambda *_: path)
    tagged = load_backbone("mine", Backbone(library="open_clip", model="RN50", weights="openai"))
    assert tagged.preprocess.size == 224 and tagged.convolutional


def test_weights_of_another_network(tmp_path):
    path = checkpoint(tmp_path, "tiny-resnet", ".safetensors")
    message = refused("tiny-vit", str(path))
    assert f"{path} is of another network" in message and "give the weights of the named model" in message


def test_no_such_model_tag_or_file(tmp_path):
    assert "open_clip has no 'RN50x44'; did you mean 'RN50x" in refused("RN50x44", "openai")
    message = refused("RN50x4", str(tmp_path / "absent.pt"))
    assert "no file and no published tag" in message and "published tags: openai; or a path, or random" in message


def test_a_refused_download_says_what_how_large_and_where_to_put_it(monkeypatch):
    def offline(*_, **__):
        raise OSError("Network is\nunreachable")

    monkeypatch.setattr("features.backbones.open_clip.hub_file", offline)
    message = refused("ViT-B-32-quickgelu", "openai")
    assert (
        "cannot download open_clip_model.safetensors of timm/vit_base_patch32_clip_224.openai "
        "(ViT-B-32-quickgelu, openai) (about 605 MB)"
    ) in message
    assert "Network is unreachable" in message
    assert "fetch it on a machine with network, then set backbones.mine.weights to its path" in message


def test_a_pickle_that_would_run_code_is_not_opened(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    assert "is not a checkpoint of plain tensors" in refused("tiny-vit", str(tmp_path / "evil.pt"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("output", ["global", "grid"])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, output):
    path = checkpoint(tmp_path, "tiny-vit", ".safetensors")
    state = load_file(path)
    state["visual.conv1.weight"].view(-1)[0] = float("nan")
    save_file(state, path)
    with pytest.raises(FeatureError, match=r"^backbones.mine.weights: .*visual.conv1.weight is not finite"):
        load_backbone("mine", Backbone(library="open_clip", model="tiny-vit", weights=str(path), output=output))
