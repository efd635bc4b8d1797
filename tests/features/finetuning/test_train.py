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
from features.backbones.projection import assemble
from features.errors import FeatureError
from features.finetuning.freeze_layers import choose_layers
from features.finetuning.pixels import load_pixels
from features.finetuning.settings import Finetune
from features.finetuning.train import ImageHead, Material, embedder, steps_per_epoch, train_network
from heads.models.embedding_heads import Head
from heads.settings import HeadSettings
from heads.training.samplers import epoch_batches, make_pool
from heads.training.selection import epoch_score

SIDE = 8
PREPROCESS = Preprocess(size=SIDE, resize=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)
NETWORK = {"library": "local", "model": "conv4", "weights": "random"}


def tiny(dim: int | None = None) -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return assemble(nn.Sequential(*layers), 32, dim)


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

    def made(chosen: Finetune) -> tuple[Material, Callable]:
        network = tiny(chosen.dim)
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
        pool = make_pool(train, rows.labels[train], None, images=chosen.images_per_group)
        frozen = choose_layers(network, chosen.layers, chosen.last_blocks, where="finetunes.tiny")

        def validator(settings: HeadSettings):
            inputs = torch.arange(len(rows))[:, None]
            return epoch_score(inputs, rows.labels, settings, queries=val, gallery=val, candidates=20)

        return Material(network, PREPROCESS, pixels, pool, frozen, True), validator

    return made


def bytes_of(network: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def train(make, chosen: Finetune, **more):
    material, validator = make(chosen)
    return train_network(material, chosen, seed=more.pop("seed", 0), validator=validator, **more)


def test_same_seed_same_bytes_and_the_caller_keeps_its_random_state(make, tmp_path):
    """Of the whole state: weights as they are now and at their best, moments, history."""
    files = [tmp_path / f"{place}.safetensors" for place in range(3)]
    torch.manual_seed(5)
    expected = torch.rand(1)
    tiny()
    for file, seed in zip(files, (0, 0, 1), strict=True):
        material, validator = make(entry())
        torch.manual_seed(5)
        train_network(material, entry(), seed=seed, validator=validator, checkpoint=file)
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
    each = steps_per_epoch(make(chosen)[0].pool, chosen.objective)
    seen = 0

    def kill(steps: int, loss: float) -> None:
        nonlocal seen
        seen += steps
        if seen > 2 * each:  # in the third epoch
            raise Killed

    with pytest.raises(Killed):
        train(make, chosen, checkpoint=tmp_path / "killed.safetensors", progress=kill)
    again = train(make, chosen, checkpoint=tmp_path / "killed.safetensors")
    assert (whole.resumed, again.resumed) == (0, 2)
    assert bytes_of(again.network) == bytes_of(whole.network)
    assert str(again.history) == str(whole.history) and again.best == whole.best
    assert (tmp_path / "killed.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    done = train(make, chosen, checkpoint=tmp_path / "whole.safetensors")
    assert done.resumed == 3 and bytes_of(done.network) == bytes_of(whole.network)


def test_half_a_checkpoint_is_none(make, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    whole = train(make, entry(), checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    again = train(make, entry(), checkpoint=path)
    assert again.resumed == 0 and bytes_of(again.network) == bytes_of(whole.network)


def test_early_stop_keeps_the_best_epoch(make):
    chosen = entry(epochs=50, patience=2, lr=1e-8)
    trained = train(make, chosen)
    assert trained.best == 0 and len(trained.history) == 3
    assert bytes_of(trained.network) == bytes_of(tiny())


def test_less_patience_than_the_cache_had_ends_where_it_would_have(make, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    patient = train(make, entry(epochs=6, patience=4, lr=1e-8), checkpoint=path)
    again = train(make, entry(epochs=6, patience=2, lr=1e-8), checkpoint=path)
    assert (len(patient.history), len(again.history), again.resumed) == (5, 3, 0)
    more = train(make, entry(epochs=6, patience=3, lr=1e-8), checkpoint=path)
    assert (len(more.history), more.resumed) == (4, 2)


def test_only_chosen_layers_move(make):
    before = tiny(4).state_dict()
    trained = train(make, entry(dim=4, layers=["top"], epochs=1, select="top1"))
    after = trained.network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved <= {"top.weight", "top.bias"}
    material, validator = make(entry(dim=4, layers=["top"]))
    train_network(material, entry(dim=4, layers=["top"], epochs=1), seed=0, validator=validator)
    assert not any(module.training for module in material.frozen)


def test_the_layer_on_top_starts_on_what_the_network_gives(make):
    material, validator = make(entry(dim=32))
    rows = torch.from_numpy(material.pool.rows)
    bare = embedder(replace(material, network=material.network.network), entry(), torch.Generator())(rows, False)
    seen = []

    def first(settings: HeadSettings):
        def validate(head):
            seen.append(head.encode(rows[None, :, None])[0])
            return validator(settings)(head)

        return validate

    train_network(material, entry(dim=32, epochs=1), seed=0, validator=first)
    centred = bare - bare.mean(0)
    torch.testing.assert_close(seen[0] @ seen[0].T, centred @ centred.T, rtol=1e-3, atol=1e-4)


def test_pixels_on_the_device_and_mapped_give_the_same(make):
    material, _ = make(entry())
    resident = replace(material, pixels=replace(material.pixels, squares=material.pixels.squares.clone()))
    rows = torch.from_numpy(material.pool.rows[:5])
    for training in (True, False):
        draws = [torch.Generator().manual_seed(3) for _ in range(2)]
        one, other = (
            embedder(kind, entry(), draw)(rows, training)
            for kind, draw in zip((material, resident), draws, strict=True)
        )
        assert torch.equal(one, other)


def test_evaluation_is_that_of_each_image_alone(make):
    material, _ = make(entry())
    rows = torch.from_numpy(material.pool.rows)
    together = embedder(material, entry(), torch.Generator())(rows, False)
    network = material.network.eval()
    squares = material.pixels.take(rows).float()
    alone = torch.cat([network((one[None] / 255 - 0.5) / 0.5) for one in squares])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_rows_past_the_last_are_turned_images(make):
    chosen = entry(augment={"rotations": True})
    material, _ = make(chosen)
    total, rows = len(material.pixels.place), torch.from_numpy(material.pool.rows[:4])
    quarters = torch.tensor([0, 1, 2, 3])
    squares = material.pixels.take(rows)
    turned = torch.stack([one.rot90(quarter, (1, 2)) for quarter, one in enumerate(squares)])
    material = replace(material, network=nn.Flatten())
    expected = material.preprocess.normalise(turned, torch.float32).flatten(1)
    for training in (True, False):
        found = embedder(material, chosen, torch.Generator())(rows + quarters * total, training)
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
        {"loss": "multi_similarity", "images_per_group": 3},
        {"loss": "contrastive", "distance": "euclidean", "margin": 5.0, "dim": 2},
        {"loss": "ArcFaceLoss"},
        {"precision": "bfloat16"},
    ],
)
def test_losses_and_negatives_of_heads(make, changes):
    trained = train(make, entry(epochs=1, **changes))
    assert np.isfinite(trained.history[1]["loss"])


def test_steps_are_those_of_the_batches(make):
    chosen = entry(batch=8, images_per_group=4)
    pool = make(chosen)[0].pool
    batches = epoch_batches(pool, batch=8, images=4, draw=np.random.default_rng(0))
    assert steps_per_epoch(pool, chosen.objective) == len(batches) == 3


def test_progress_counts_every_step(make):
    said = []
    train(make, entry(epochs=2), progress=lambda steps, loss: said.append((steps, loss)))
    assert sum(steps for steps, _ in said) == 2 * steps_per_epoch(make(entry())[0].pool, entry().objective)
    assert all(np.isfinite(loss) for _, loss in said)


def test_a_loss_that_is_no_number_is_one_line(make):
    material, _ = make(entry())
    with torch.no_grad():
        material.network[0].weight.fill_(float("nan"))
    with pytest.raises(FeatureError, match=r"^the loss became nan in epoch 1: lower the finetune's lr$"):
        train_network(material, entry(), seed=0, validator=lambda settings: lambda head: [0.5])


def test_a_head_on_images_is_the_head():
    head = ImageHead(Head("euclidean"), lambda rows, training: torch.stack([rows.float(), rows * 2.0], 1))
    encoded = head.encode(torch.tensor([[[1], [4]]]))
    assert encoded.tolist() == [[[1.0, 2.0], [4.0, 8.0]]]
    torch.testing.assert_close(head.block(encoded, encoded), Head("euclidean").block(encoded, encoded))
    assert head.embeds and head.distance == "euclidean"
