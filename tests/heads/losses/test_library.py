"""Losses of pytorch-metric-learning by their own names."""

import inspect
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from pytorch_metric_learning import losses as library

from heads.errors import HeadError
from heads.losses.library import LibraryLoss, argument_names, refusals, with_global_rng
from heads.settings import LIBRARY_LOSSES, OTHER_NAMES, HeadSettings
from heads.training.batches import Batch

GROUPS, WIDTH = 4, 5
MEANS = torch.eye(GROUPS, WIDTH)
NOT_LOSSES = {  # of embeddings and labels alone
    "BaseMetricLossFunction",  # abstract
    "GenericPairLoss",  # abstract
    "DynamicSoftMarginLoss",  # keeps the graph of the step before, and fails in the second
    "ManifoldLoss",  # takes no labels
    "VICRegLoss",  # takes no labels
    "ThresholdConsistentMarginLoss",  # a term to add to another loss
}


def loss_of(name: str, *, seed: int = 0, **arguments) -> LibraryLoss:
    needed = {"RankedListLoss": {"margin": 0.4, "Tn": 10}}.get(name, {})
    settings = HeadSettings(features="x", loss=name, loss_args=needed | arguments)
    return LibraryLoss(settings, means=MEANS, rng=torch.Generator().manual_seed(seed))


def batch_of(blocks: int = 6) -> Batch:
    embeddings = torch.randn(2 * blocks, WIDTH, generator=torch.Generator().manual_seed(3)).requires_grad_()
    labels = torch.arange(blocks).repeat_interleave(2) % GROUPS
    return Batch(*[None] * 5, embeddings=embeddings, labels=labels)


def test_names_are_those_of_the_library():
    classes = inspect.getmembers(library, inspect.isclass)
    losses = {name for name, kind in classes if issubclass(kind, library.BaseMetricLossFunction)}
    assert losses - NOT_LOSSES - set(OTHER_NAMES) == set(LIBRARY_LOSSES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LIBRARY_LOSSES)
def test_each_loss_runs_and_takes_what_it_needs_from_the_training_set(name):
    loss, batch = loss_of(name), batch_of(blocks=GROUPS)
    for _ in range(2):  # a loss that keeps its graph fails in the second step
        value = loss(batch)
        gradients = torch.autograd.grad(value, [batch.embeddings, *loss.parameters()], allow_unused=True)
    assert value.shape == () and torch.isfinite(value)
    assert gradients[0].abs().sum() > 0 and all(torch.isfinite(g).all() for g in gradients if g is not None)


@pytest.mark.parametrize("name, arguments", [("CircleLoss", {"m": 0.3, "gamma": 20}), ("AngularLoss", {})])
def test_the_value_is_the_librarys(name, arguments):
    batch = batch_of()
    theirs = getattr(library, name)(**arguments)(batch.embeddings, batch.labels)
    torch.testing.assert_close(loss_of(name, **arguments)(batch), theirs)


@pytest.mark.parametrize("name, arguments", [("ProxyAnchorLoss", {}), ("MarginLoss", {"triplets_per_anchor": 1})])
def test_numbers_are_those_of_the_seed_and_global_ones_are_left_alone(name, arguments):
    before = torch.random.get_rng_state()
    one, other = (loss_of(name, seed=7, **arguments) for _ in range(2))
    torch.manual_seed(3)
    values = [one(batch_of()).item() for _ in range(3)]
    torch.manual_seed(4)
    assert [other(batch_of()).item() for _ in range(3)] == values
    torch.random.set_rng_state(before)
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    loss_of(name, **arguments)(batch_of())
    assert torch.equal(before, torch.random.get_rng_state())


def test_threads_share_the_global_numbers_without_a_seed_seeing_another():
    def draws(seed: int) -> list[float]:
        rng = torch.Generator().manual_seed(seed)
        return [with_global_rng(rng, lambda: torch.rand(2000).sum().item()) for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draws, range(4)))
    assert together == [draws(seed) for seed in range(4)]


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
        LibraryLoss(settings, means=MEANS, rng=torch.Generator())


def test_a_loss_takes_the_arguments_that_its_bases_take():
    needed = dict.fromkeys(("num_classes", "embedding_size"), True)
    own = dict.fromkeys(("margin", "scale", "sub_centers"), False)
    assert argument_names(library.SubCenterArcFaceLoss) == needed | own


def test_what_the_library_refuses_in_a_batch_is_one_line():
    with pytest.raises(HeadError, match=r"head\.loss: SmoothAPLoss: All classes must have the same number of") as error:
        loss_of("SmoothAPLoss")(batch_of(blocks=6))  # two groups have two blocks, two have one
    assert "\n" not in str(error.value)


def copies() -> Batch:
    """Pairs of byte-identical images, whose cosine float32 may put above 1."""
    embeddings = 3 * torch.randn(8, 40, generator=torch.Generator().manual_seed(0)).repeat_interleave(2, 0)
    return Batch(*[None] * 5, embeddings=embeddings.requires_grad_(), labels=torch.arange(8).repeat_interleave(2))


@pytest.mark.parametrize("name", ["HistogramLoss", "TupletMarginLoss", "AngularLoss", "CircleLoss"])
def test_copies_of_an_image_have_a_finite_loss_and_finite_gradients(name):
    batch = copies()
    loss = loss_of(name)(batch)
    (gradient,) = torch.autograd.grad(loss, batch.embeddings)
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()


def test_an_error_without_a_reason_names_the_loss():
    with pytest.raises(HeadError, match=r"^head\.loss: P2SGradLoss: AssertionError without a reason"):  # noqa: SIM117
        with refusals("head.loss", "P2SGradLoss"):
            raise AssertionError


def test_proxies_start_at_the_means_and_train_faster():
    loss = loss_of("ProxyAnchorLoss")
    assert torch.equal(loss.loss.proxies, MEANS) and loss.lr_scale > 1


def test_all_tensors_of_a_loss_go_where_the_loss_goes():
    loss = loss_of("MarginLoss").to("meta")
    tensors = [value for module in loss.modules() for value in vars(module).values() if isinstance(value, torch.Tensor)]
    assert tensors == [] and {value.device.type for value in loss.buffers()} == {"meta"}
