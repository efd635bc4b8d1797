"""Training a network on tiny images: the same bytes for the same seed, after a kill too; and nothing frozen moves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from grouped_images import write_groups
from torch import nn

from data.tables.rows import read_rows
from features.backbones.preprocess import Preprocess
from features.backbones.projection import with_projection
from features.finetuning.freeze_layers import choose_layers
from features.finetuning.pixels import load_pixels
from features.finetuning.settings import Finetune
from features.finetuning.train import NetworkAsHead, TrainingInputs, train_network
from heads.errors import HeadError
from heads.models.base import Head
from heads.settings import HeadSettings
from heads.training.samplers import batches_per_epoch, make_training_set
from heads.training.selection import epoch_score

SIDE = 8
PREPROCESS = Preprocess(size=SIDE, resize=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)
NETWORK = {"library": "local", "model": "conv4", "weights": "random"}


def tiny(dim: int | None = None) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return with_projection(nn.Sequential(*layers), 32, dim)


def entry(**changes) -> Finetune:
    basis = {"network": NETWORK, "epochs": 3, "batch": 12, "lr": 0.01, "loss": "infonce", "select": "top1"}
    return Finetune.model_validate(basis | {"augment": {"shift": 0.15, "flip": True}} | changes)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_groups(tmp_path_factory.mktemp("images") / "images.parquet", side=SIDE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make(images, cache) -> Callable:
    rows = read_rows(images)
    train, val = rows.where(split="train"), rows.where(split="val")

    def made(chosen: Finetune) -> tuple[TrainingInputs, Callable]:
        network = tiny(chosen.dim).to(memory_format=torch.channels_last)
        pixels = load_pixels(
            images,
            np.union1d(train, val),
            total=len(rows),
            preprocess=PREPROCESS,
            cache=cache,
            key="tiny",
            workers=0,
            device=torch.device("cpu"),
        )
        training_set = make_training_set(train, rows.labels[train], None, images=chosen.images_per_group)
        frozen = choose_layers(network, chosen.layers, chosen.last_blocks, where="finetunes.tiny")

        def validator(settings: HeadSettings):
            inputs = torch.arange(len(rows))[:, None]
            return epoch_score(inputs, rows.labels, settings, queries=val, gallery=val, candidates=20)

        return TrainingInputs(network, PREPROCESS, pixels, training_set, frozen, True), validator

    return made


def bytes_of(network: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def train(make, chosen: Finetune, **more):
    inputs, validator = make(chosen)
    return train_network(inputs, chosen, seed=more.pop("seed", 0), validator=validator, **more)


def as_head(inputs: TrainingInputs, chosen: Finetune, *, training: bool = False) -> NetworkAsHead:
    head = NetworkAsHead(inputs, chosen, Head(chosen.distance), torch.Generator().manual_seed(3))
    return head.train(training)


def network_of(trained) -> nn.Module:
    return trained.head.network


def batches(make, chosen: Finetune) -> int:
    return batches_per_epoch(make(chosen)[0].training_set, batch=chosen.batch, images=chosen.images_per_group)


def test_same_seed_same_bytes_and_the_caller_keeps_its_random_state(make, tmp_path):
    """Of the whole state: weights as they are now and at their best, moments, history."""
    files = [tmp_path / f"{place}.safetensors" for place in range(3)]
    torch.manual_seed(5)
    expected = torch.rand(1)
    tiny()
    for file, seed in zip(files, (0, 0, 1), strict=True):
        inputs, validator = make(entry())
        torch.manual_seed(5)
        train_network(inputs, entry(), seed=seed, validator=validator, checkpoint=file)
        assert torch.rand(1) == expected
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_it_learns(make):
    trained = train(make, entry(epochs=12))
    assert trained.history[trained.best]["val_top1"] > trained.history[0]["val_top1"] + 0.1
    losses = [row["loss"] for row in trained.history[1:]]
    assert losses[-1] < losses[0]


class Killed(Exception):
    pass


@pytest.mark.parametrize("changes", [{}, {"loss": "cross_entropy", "dim": 4, "head": {"model": "mlp", "hidden": [8]}}])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(make, tmp_path, changes):
    chosen = entry(**changes)
    whole = train(make, chosen, checkpoint=tmp_path / "whole.safetensors")
    each = batches(make, chosen)
    seen = 0

    def kill(steps: int, loss: float) -> None:
        nonlocal seen
        seen += steps
        if seen > 2 * each:  # in the third epoch
            raise Killed

    with pytest.raises(Killed):
        train(make, chosen, checkpoint=tmp_path / "killed.safetensors", report=kill)
    again = train(make, chosen, checkpoint=tmp_path / "killed.safetensors")
    assert (whole.resumed, again.resumed) == (0, 2)
    assert bytes_of(network_of(again)) == bytes_of(network_of(whole))
    assert str(again.history) == str(whole.history) and again.best == whole.best
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    done = train(make, chosen, checkpoint=tmp_path / "whole.safetensors")
    assert done.resumed == 3 and bytes_of(network_of(done)) == bytes_of(network_of(whole))


@pytest.mark.parametrize("damage", ["half", "first bit", "middle bit", "last bit", "empty"])
def test_a_damaged_checkpoint_is_none_and_that_is_said(make, tmp_path, damage):
    path = tmp_path / "checkpoint.safetensors"
    whole = train(make, entry(), checkpoint=path)
    content = bytearray(path.read_bytes())
    if damage.endswith("bit"):
        content[{"first bit": 0, "middle bit": len(content) // 2, "last bit": -1}[damage]] ^= 1
    path.write_bytes(content[: {"half": len(content) // 2, "empty": 0}.get(damage)])
    again = train(make, entry(), checkpoint=path)
    assert again.resumed == 0 and bytes_of(network_of(again)) == bytes_of(network_of(whole))
    assert any("checkpoint" in one and "damaged" in one for one in again.warnings)
    assert not any("checkpoint" in one for one in whole.warnings)


def test_early_stop_keeps_the_best_epoch(make):
    chosen = entry(epochs=50, patience=2, lr=1e-8)
    trained = train(make, chosen)
    assert trained.best == 0 and len(trained.history) == 3
    assert bytes_of(network_of(trained)) == bytes_of(tiny())


def test_less_patience_than_the_cache_had_ends_where_it_would_have(make, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    patient = train(make, entry(epochs=6, patience=4, lr=1e-8), checkpoint=path)
    again = train(make, entry(epochs=6, patience=2, lr=1e-8), checkpoint=path)
    assert (len(patient.history), len(again.history), again.resumed) == (5, 3, 0)
    more = train(make, entry(epochs=6, patience=3, lr=1e-8), checkpoint=path)
    assert (len(more.history), more.resumed) == (4, 2)


def test_only_chosen_layers_move(make):
    before = tiny(4).state_dict()
    trained = train(make, entry(dim=4, layers=["projection"], epochs=1, select="top1"))
    after = network_of(trained).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved <= {"projection.weight", "projection.bias"}
    inputs, validator = make(entry(dim=4, layers=["projection"]))
    train_network(inputs, entry(dim=4, layers=["projection"], epochs=1), seed=0, validator=validator)
    assert not any(module.training for module in inputs.frozen)


def test_the_projection_starts_on_what_the_network_gives(make):
    inputs, validator = make(entry(dim=32))
    rows = torch.from_numpy(inputs.training_set.rows)
    without = as_head(replace(inputs, network=inputs.network.network), entry()).features(rows)
    seen = []

    def first(settings: HeadSettings):
        def validate(head):
            seen.append(head(rows[:, None]))
            return validator(settings)(head)

        return validate

    train_network(inputs, entry(dim=32, epochs=1), seed=0, validator=first)
    centred = without - without.mean(0)
    torch.testing.assert_close(seen[0] @ seen[0].T, centred @ centred.T, rtol=1e-3, atol=1e-4)


def test_pixels_on_the_device_and_mapped_give_the_same(make):
    inputs, _ = make(entry())
    resident = replace(inputs, pixels=replace(inputs.pixels, images=inputs.pixels.images.clone()))
    rows = torch.from_numpy(inputs.training_set.rows[:5])
    for training in (True, False):
        one, other = (as_head(kind, entry(), training=training).features(rows) for kind in (inputs, resident))
        assert torch.equal(one, other)


def test_evaluation_is_that_of_each_image_alone(make):
    inputs, _ = make(entry())
    rows = torch.from_numpy(inputs.training_set.rows)
    together = as_head(inputs, entry()).features(rows)
    network = inputs.network.eval()
    images = inputs.pixels.take(rows).float()
    alone = torch.cat([network((one[None] / 255 - 0.5) / 0.5) for one in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_rows_past_the_last_are_turned_images(make):
    chosen = entry(augment={"rotations": True})
    inputs, _ = make(chosen)
    total, rows = len(inputs.pixels.place), torch.from_numpy(inputs.training_set.rows[:4])
    quarters = torch.tensor([0, 1, 2, 3])
    images = inputs.pixels.take(rows)
    turned = torch.stack([one.rot90(quarter, (1, 2)) for quarter, one in enumerate(images)])
    inputs = replace(inputs, network=nn.Flatten())
    expected = inputs.preprocess.normalise(turned, torch.float32).flatten(1)
    for training in (True, False):
        found = as_head(inputs, chosen, training=training).features(rows + quarters * total)
        torch.testing.assert_close(found, expected)


def test_a_pair_model_is_trained_on_top_and_scored(make):
    trained = train(make, entry(loss="bce", head={"model": "pair_bc"}, epochs=2))
    assert len(trained.history) == 3 and all(np.isfinite(row["val_top1"]) for row in trained.history)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "triplet", "negatives": "random:3"},
        {"loss": "triplet", "negatives": "offline:2"},
        {"loss": "triplet", "negatives": "semihard"},
        {"loss": "MultiSimilarityLoss", "images_per_group": 3},
        {"loss": "contrastive", "distance": "euclidean", "margin": 5.0, "dim": 2},
        {"loss": "ArcFaceLoss"},
        {"precision": "bfloat16"},
    ],
)
def test_losses_and_negatives_of_heads(make, changes):
    trained = train(make, entry(epochs=1, **changes))
    assert np.isfinite(trained.history[1]["loss"])


def test_progress_counts_every_step(make):
    said = []
    train(make, entry(epochs=2), report=lambda steps, loss: said.append((steps, loss)))
    assert sum(steps for steps, _ in said) == 2 * batches(make, entry())
    assert all(np.isfinite(loss) for _, loss in said)


def test_a_loss_that_is_no_number_is_one_line(make):
    inputs, _ = make(entry())
    with torch.no_grad():
        inputs.network[0].weight.fill_(float("nan"))
    with pytest.raises(HeadError, match=r"^the loss became nan in epoch 1: lower finetunes\.plane\.lr$"):
        train_network(*(inputs, entry()), seed=0, where="finetunes.plane", validator=lambda settings: lambda head: 0.5)


def test_the_head_on_top_compares(make):
    inputs, _ = make(entry())
    head = NetworkAsHead(inputs, entry(), Head("euclidean"), torch.Generator()).eval()
    rows = torch.from_numpy(inputs.training_set.rows[:6])[:, None]
    embeddings = head(rows)
    torch.testing.assert_close(embeddings, head.features(rows[:, 0]))
    expected = Head("euclidean").pairwise(embeddings, embeddings)
    torch.testing.assert_close(head.pairwise(embeddings, embeddings), expected)
    torch.testing.assert_close(head.elementwise(embeddings[:, None], embeddings[None]), expected, atol=1e-3, rtol=1e-3)
    assert head.embeds and head.distance == "euclidean"
