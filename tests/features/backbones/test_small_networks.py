"""The reports' networks: their sizes, and public checkpoints by the names of their tensors."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import avg_pool2d, max_pool2d, pad, relu

from data.files.atomic import sha256_file
from features.backbones.local import CIFAR, MODELS
from features.backbones.preprocess import IMAGENET_MEAN
from features.backbones.registry import load_backbone
from features.backbones.small_networks import ConvNet2d, ConvNet10d
from features.errors import FeatureError
from features.settings import Backbone
from features.storage.sealed_json import seal, unseal


def network(model: str, weights: str = "random", **more):
    return load_backbone("mine", Backbone(library="local", model=model, weights=weights, **more))


@pytest.mark.parametrize(
    ("model", "width"),
    [
        ("conv4", 64),
        ("conv4_strided", 512),
        ("conv5_strided", 1024),
        ("convnet_2d", 2),
        ("convnet_2d_relu", 2),
        ("convnet_10d", 10),
        ("convnet_10d_printed", 10),
        ("resnet18_64", 512),
    ]
    + [(f"cifar_resnet{layers}", 64) for layers in (20, 32, 44, 56)],
)
def test_widths(model, width):
    found = network(model)
    side = found.preprocess.size
    assert side == MODELS[model][1]
    assert found.module(torch.zeros(2, 3, side, side)).shape == (2, width)


def test_omniglot_alphabets_printed_the_size_of_its_network():
    printed = ConvNet10d((4, 16), 5)
    numbers = [*printed.parameters(), *(b for name, b in printed.named_buffers() if "running" in name)]
    assert sum(value.numel() for value in numbers) == 120_438


def test_mnist_plane_in_its_own_words():
    """As its code has it, step by step, on the same weights."""
    ours = ConvNet2d().eval()
    x = torch.randn(4, 3, 28, 28)
    with torch.no_grad():
        h = max_pool2d(ours.norm1(ours.conv1(x[:, :1])), 2)
        h = max_pool2d(ours.norm2(ours.conv2(h)), 2)
        h = avg_pool2d(ours.norm3(ours.conv3(h)), 5)
        expected = ours.last(ours.norm4(ours.hidden(h.view(4, -1))))
        torch.testing.assert_close(ours(x), expected)
    assert (
        sum(value.numel() for value in ours.parameters()) == 320 + 64 + 18_496 + 128 + 73_856 + 256 + 8256 + 128 + 130
    )


@pytest.mark.parametrize(("layers", "thousands"), [(20, 270), (32, 464), (44, 658), (56, 853)])
def test_sizes_of_he_et_al(layers, thousands):
    """He et al. 2016, table 6 gives 0.27, 0.46, 0.66 and 0.85 million, with a classifier of ten classes."""
    count = sum(value.numel() for value in network(f"cifar_resnet{layers}").module.parameters()) + 650
    assert round(count / 1000) == pytest.approx(thousands, abs=1)


def akamaster(layers: int) -> dict[str, torch.Tensor]:
    """A state dict in the layout of akamaster/pytorch_resnet_cifar10, names written out from its resnet.py."""
    torch.manual_seed(1)
    state = {"conv1.weight": torch.randn(16, 3, 3, 3) / 5}

    def norm(name: str, width: int) -> None:
        state.update({f"{name}.weight": torch.rand(width) + 0.5, f"{name}.bias": torch.randn(width) / 10})
        state.update({f"{name}.running_mean": torch.randn(width) / 10, f"{name}.running_var": torch.rand(width) + 0.5})
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    norm("bn1", 16)
    width = 16
    for stage, out in enumerate((16, 32, 64), 1):
        for block in range((layers - 2) // 6):
            name = f"layer{stage}.{block}"
            state[f"{name}.conv1.weight"] = torch.randn(out, width, 3, 3) / (9 * width) ** 0.5
            norm(f"{name}.bn1", out)
            state[f"{name}.conv2.weight"] = torch.randn(out, out, 3, 3) / (9 * out) ** 0.5
            norm(f"{name}.bn2", out)
            width = out
    state |= {"linear.weight": torch.randn(10, 64), "linear.bias": torch.randn(10)}
    return state


def by_hand(state: dict[str, torch.Tensor], x: torch.Tensor, layers: int) -> torch.Tensor:
    """The forward pass of akamaster's network, out of its tensors alone."""

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        parts = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return nn.functional.batch_norm(x, *parts)

    def conv(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        return nn.functional.conv2d(x, state[f"{name}.weight"], stride=stride, padding=1)

    x = relu(norm("bn1", conv("conv1", x)))
    for stage in (1, 2, 3):
        for block in range((layers - 2) // 6):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = norm(f"{name}.bn2", conv(f"{name}.conv2", relu(norm(f"{name}.bn1", conv(f"{name}.conv1", x, stride)))))
            x = pad(x[:, :, ::2, ::2], (0, 0, 0, 0, y.shape[1] // 4, y.shape[1] // 4)) if stride == 2 else x
            x = relu(x + y)
    return avg_pool2d(x, x.shape[3]).flatten(1)


@pytest.mark.parametrize("layers", [20, 56])
def test_akamasters_checkpoint(tmp_path, layers):
    state, path = akamaster(layers), tmp_path / "resnet.th"
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}, "best_prec1": 0.9}, path)
    found = network(f"cifar_resnet{layers}", str(path))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(found.module(x), by_hand(state, x, layers), atol=1e-4, rtol=1e-4)
    assert found.preprocess.mean == IMAGENET_MEAN  # as its trainer.py has it


@pytest.mark.parametrize("classes", [10, 100])
def test_pytorch_cifar_models_checkpoint(tmp_path, classes):
    """The same names, but shortcuts of 1 x 1 convolutions and `fc`."""
    state = {name: value for name, value in akamaster(20).items() if not name.startswith("linear")}
    for stage, width in ((2, 16), (3, 32)):
        state[f"layer{stage}.0.downsample.0.weight"] = torch.randn(2 * width, width, 1, 1)
        for part, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            state[f"layer{stage}.0.downsample.1.{part}"] = torch.full((2 * width,), value)
    state |= {"fc.weight": torch.randn(classes, 64), "fc.bias": torch.randn(classes)}
    path = tmp_path / "cifar_resnet20.pt"
    torch.save(state, path)
    found = network("cifar_resnet20", str(path))
    assert torch.equal(found.module.layer2[0].downsample[0].weight, state["layer2.0.downsample.0.weight"])
    assert found.module(torch.zeros(1, 3, 32, 32)).shape == (1, 64)
    assert (found.preprocess.mean, found.preprocess.std) == CIFAR[classes]

    # Trained on from there, it is built with the same shortcuts.
    save_file(found.module.state_dict(), tmp_path / "network.safetensors")
    start = {"library": "local", "model": "cifar_resnet20", "weights": str(path)}
    describe(tmp_path, {"network": start, "width": 64, "dim": None, "preprocess": found.preprocess.describe()})
    trained = network("trained", str(tmp_path / "network.safetensors"))
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(trained.module(x), found.module(x)) and trained.preprocess == found.preprocess


def test_the_wrong_depth_is_one_line(tmp_path):
    path = tmp_path / "resnet.th"
    torch.save(akamaster(20), path)
    with pytest.raises(FeatureError, match=r"^backbones.mine: .*resnet.th is of another network \(.*tensors differ"):
        network("cifar_resnet32", str(path))


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        (
            "cifar_resnet21",
            {},
            "backbones.mine.model: no 'cifar_resnet21'; did you mean 'cifar_resnet32'?",
        ),
        ("convnet_10d", {"pixels": 64}, "backbones.mine.pixels: convnet_10d is made for 105 pixels; set it to 105"),
        ("conv4", {"output": "grid"}, "backbones.mine.output: networks of this library give one vector"),
        ("conv4", {"weights": "nowhere"}, "backbones.mine.weights: no file and no published tag 'nowhere'"),
        ("trained", {"weights": "nowhere"}, "backbones.mine.weights: no file and no published tag 'nowhere'"),
    ],
)
def test_bad_entries_are_one_line(model, more, message):
    with pytest.raises(FeatureError) as error:
        network(model, **{"weights": "random"} | more)
    assert str(error.value).startswith(message)


def test_a_network_trained_here_needs_its_description(tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"")
    with pytest.raises(FeatureError, match=r"network.json is missing: copy it from where network.safetensors comes"):
        network("trained", str(path))
    for content in ("{}", "null", '"abc"', "[" * 100_000, "\xff"):
        (tmp_path / "network.json").write_text(content)
        with pytest.raises(FeatureError, match=r"network.json: changed, or of another version.*dvc repro"):
            network("trained", str(path))


def describe(folder: Path, about: dict) -> None:
    """network.json, with the sha256 of the weights as they lie there."""
    digest = sha256_file(folder / "network.safetensors")
    (folder / "network.json").write_bytes(seal(about | {"weights_sha256": digest}))


@pytest.fixture
def trained_here(tmp_path) -> Path:
    found = network("conv4")
    save_file(found.module.state_dict(), tmp_path / "network.safetensors")
    start = {"library": "local", "model": "conv4", "weights": "random"}
    describe(tmp_path, {"network": start, "width": 64, "dim": None, "preprocess": found.preprocess.describe()})
    return tmp_path / "network.safetensors"


@pytest.mark.parametrize("name", ["network.json", "network.safetensors"])
def test_one_changed_bit_of_a_network_trained_here_is_said(trained_here, name):
    assert network("trained", str(trained_here)).module(torch.zeros(1, 3, 28, 28)).shape == (1, 64)
    path = trained_here.with_name(name)
    content = path.read_bytes()
    for place in range(0, len(content), len(content) // 40):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(FeatureError, match=rf"{name}: .*dvc repro") as error:
            network("trained", str(trained_here))
        assert "\n" not in str(error.value)
    path.write_bytes(content[:-9])
    with pytest.raises(FeatureError, match=rf"{name}: .*dvc repro"):
        network("trained", str(trained_here))


@pytest.mark.parametrize("key", ["network", "dim", "preprocess", "weights_sha256"])
def test_a_value_of_another_kind_in_network_json_is_one_line(trained_here, key):
    path = trained_here.with_name("network.json")
    about = unseal(path.read_bytes())
    for value in ("abc", [], ["abc"], 10**30, -1, {}, {"network": "abc"}, True):
        path.write_bytes(seal(about | {key: value}))
        with pytest.raises(FeatureError) as error:
            network("trained", str(trained_here))
        assert "\n" not in str(error.value)


def test_weights_that_are_no_numbers_are_refused(trained_here):
    about = unseal(trained_here.with_name("network.json").read_bytes())
    state = network("conv4").module.state_dict()
    state[next(iter(state))].view(-1)[0] = float("nan")
    save_file(state, trained_here)
    describe(trained_here.parent, about)
    with pytest.raises(FeatureError, match=r"is not finite.*copy it anew"):
        network("trained", str(trained_here))


def test_mean_and_std_of_a_checkpoint(tmp_path):
    """A network without a classifier does not tell what its images were normalised with: the entry does."""
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    state = network("cifar_resnet20").module.state_dict()
    torch.save(state, tmp_path / "net.pt")
    plain, own = (
        network("cifar_resnet20", str(tmp_path / "net.pt"), **more) for more in ({}, {"mean": mean, "std": std})
    )
    assert plain.preprocess.mean == IMAGENET_MEAN
    assert (own.preprocess.mean, own.preprocess.std) == (mean, std)
    pixels = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    expected = (1 - torch.tensor(mean)) / torch.tensor(std)
    torch.testing.assert_close(own.preprocess.normalise(pixels, torch.float32)[0, :, 0, 0], expected)


@pytest.mark.parametrize("more", [{"std": (0.0, 1, 1)}, {"mean": (0.5, 0.5)}, {"std": (1, 1, float("inf"))}])
def test_impossible_mean_and_std(more):
    with pytest.raises(ValueError, match=r"std|mean"):
        network("cifar_resnet20", **more)
    with pytest.raises(ValueError, match="leave them out"):
        network("trained", "a.safetensors", mean=(0.5, 0.5, 0.5))
