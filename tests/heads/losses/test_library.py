"""Losses of pytorch-metric-learning by their own names."""

import inspect

import pytest
import torch
from pytorch_metric_learning import losses as library

from heads.errors import HeadError
from heads.losses.library import LibraryLoss, argument_names
from heads.models.layers import generators
from heads.settings import LIBRARY_LOSSES, HeadSettings
from heads.training.batches import Step

GROUPS, WIDTH = 4, 5
NOT_LOSSES = {  # of embeddings and labels alone
    "BaseMetricLossFunction",  # abstract
    "GenericPairLoss",  # abstract
    "DynamicSoftMarginLoss",  # keeps the graph of the step before, and fails in the second
    "ManifoldLoss",  # takes no labels
    "VICRegLoss",  # takes no labels
    "ThresholdConsistentMarginLoss",  # a term to add to another loss
}


def loss_of(name: str, *, seeds: int = 2, seed: int = 0, **arguments) -> LibraryLoss:
    needed = {"RankedListLoss": {"margin": 0.4, "Tn": 10}}.get(name, {})
    settings = HeadSettings(features="x", loss=name, loss_args=needed | arguments, seeds=seeds)
    return LibraryLoss(settings, groups=GROUPS, width=WIDTH, draws=generators(seed, seeds))


def step_of(seeds: int = 2, blocks: int = 6) -> Step:
    draw = torch.Generator().manual_seed(3)
    encoded = torch.randn(2, blocks, 2, WIDTH, generator=draw)[:seeds].requires_grad_()
    codes = (torch.arange(blocks) % GROUPS)[None, :, None].expand(seeds, -1, 2)
    return Step(head=None, lists=None, encoded=encoded, codes=codes, chosen=None, paired=False)


def test_names_are_those_of_the_library():
    classes = inspect.getmembers(library, inspect.isclass)
    losses = {name for name, kind in classes if issubclass(kind, library.BaseMetricLossFunction)}
    assert losses - NOT_LOSSES == set(LIBRARY_LOSSES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LIBRARY_LOSSES)
def test_each_loss_runs_and_takes_what_it_needs_from_the_training_set(name):
    loss, step = loss_of(name), step_of(blocks=GROUPS)
    for _ in range(2):  # a loss that keeps its graph fails in the second step
        value = loss(step)
        gradients = torch.autograd.grad(value.sum(), [step.encoded, *loss.parameters()], allow_unused=True)
    assert value.shape == (2,) and torch.isfinite(value).all()
    assert gradients[0].abs().sum() > 0 and all(torch.isfinite(g).all() for g in gradients if g is not None)


@pytest.mark.parametrize("name, arguments", [("CircleLoss", {"m": 0.3, "gamma": 20}), ("NTXentLoss", {})])
def test_the_value_is_the_librarys_seed_by_seed(name, arguments):
    step = step_of()
    ours = loss_of(name, **arguments)(step)
    for s in range(2):
        theirs = getattr(library, name)(**arguments)(step.encoded[s].flatten(0, 1), step.codes[s].flatten())
        torch.testing.assert_close(ours[s], theirs)


@pytest.mark.parametrize(
    "name, arguments", [("ProxyAnchorLoss", {}), ("TripletMarginLoss", {"triplets_per_anchor": 1})]
)
def test_a_seed_is_the_same_alone_and_beside_others_and_global_numbers_are_left_alone(name, arguments):
    before = torch.random.get_rng_state()
    together = loss_of(name, seed=7, **arguments)
    values = [together(step_of()) for _ in range(3)]
    alone = loss_of(name, seeds=1, seed=7, **arguments)
    assert [alone(step_of(1))[0].item() for _ in range(3)] == [value[0].item() for value in values]
    assert all(map(torch.equal, alone.parameters(), together.seeds[0].parameters()))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("CircleLoss", {"gama": 80}, "head.loss_args: CircleLoss has no argument 'gama'; did you mean 'gamma'?"),
        ("CircleLoss", {"xyz": 80}, "head.loss_args: CircleLoss has no argument 'xyz'; known: m, gamma"),
        ("NPairsLoss", {"m": 1}, "head.loss_args: NPairsLoss has no argument 'm'; known: none"),
        ("ArcFaceLoss", {"num_classes": 3}, "head.loss_args: ArcFaceLoss has no argument 'num_classes'; known: margin"),
        ("HistogramLoss", {"n_bins": 3, "delta": 0.1}, "head.loss_args: HistogramLoss: delta and n_bins must satisfy"),
    ],
)
def test_wrong_arguments_are_one_line(name, arguments, message):
    with pytest.raises(HeadError) as error:
        loss_of(name, **arguments)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_missing_arguments_are_named():
    settings = HeadSettings(features="x", loss="RankedListLoss", loss_args={"margin": 0.4})
    with pytest.raises(HeadError, match=r"RankedListLoss needs Tn: add them to head\.loss_args"):
        LibraryLoss(settings, groups=GROUPS, width=WIDTH, draws=generators(0, 1))


def test_a_loss_takes_the_arguments_that_its_bases_take():
    needed = dict.fromkeys(("num_classes", "embedding_size"), True)
    own = dict.fromkeys(("margin", "scale", "sub_centers"), False)
    assert argument_names(library.SubCenterArcFaceLoss) == needed | own


def test_what_the_library_refuses_in_a_batch_is_one_line():
    with pytest.raises(HeadError, match=r"head\.loss: SmoothAPLoss: All classes must have the same number of") as error:
        loss_of("SmoothAPLoss")(step_of(blocks=6))  # two groups have two blocks, two have one
    assert "\n" not in str(error.value)
