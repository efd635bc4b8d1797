import numpy as np
import pytest
import torch

from heads.errors import HeadError
from heads.models.base import Head
from heads.settings import HeadSettings
from heads.training.selection import calibrate_on_val, epoch_score

SETTINGS = HeadSettings(features="x", model="identity", seeds=2)


def test_shortens_lists_to_a_small_gallery():
    inputs = torch.eye(4).repeat_interleave(2, 0)
    codes = np.repeat(np.arange(4), 2)
    score = epoch_score(inputs, codes, SETTINGS, queries=np.arange(0, 8, 2), gallery=np.arange(1, 8, 2), candidates=20)
    assert score(Head("cosine")) == 1.0


@pytest.mark.parametrize(
    ("select", "expected"),
    [("top1", (1 + 1 / 3) / 2), ("top2", 1.0), ("recall_at_1", 0.5), ("mrr", 0.75), ("map_at_r", 0.5)],
)
def test_every_score_that_can_choose_an_epoch(select, expected):
    """Two queries of four groups: one finds its match first, one finds another image before it."""
    inputs = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0.9, 0.1], [0, 0, 1]])
    codes, settings = np.array([0, 0, 1, 1, 2, 3]), SETTINGS.model_copy(update={"select": select})
    gallery = np.array([1, 3, 4, 5])
    score = epoch_score(inputs, codes, settings, queries=np.array([0, 2]), gallery=gallery, candidates=3)
    assert score(Head("cosine")) == pytest.approx(expected)


def test_too_few_groups_to_choose_an_epoch():
    with pytest.raises(HeadError, match=r"val has 2 groups, too few to choose an epoch by top2: enlarge"):
        epoch_score(
            torch.eye(4), np.array([0, 0, 1, 1]), SETTINGS, queries=np.arange(4), gallery=np.arange(1, 3), candidates=20
        )


def test_two_groups_of_several_images_can_choose_an_epoch():
    inputs, rows = torch.eye(2).repeat_interleave(4, 0), np.arange(8)
    score = epoch_score(inputs, np.repeat([0, 1], 4), SETTINGS, queries=rows, gallery=rows, candidates=20)
    assert score(Head("cosine")) == 1.0


def test_one_group_has_no_smaller_select():
    settings = SETTINGS.model_copy(update={"select": "mrr"})
    rows = np.arange(4)
    with pytest.raises(
        HeadError, match=r"^val has 1 groups, too few to choose an epoch by mrr: enlarge data.splits.val$"
    ):
        epoch_score(torch.eye(4), np.zeros(4, int), settings, queries=rows, gallery=rows, candidates=20)


def test_constant_embedding_fails():
    a, b, same = np.array([0, 1]), np.array([2, 3]), np.array([True, False])
    with pytest.raises(HeadError, match="all val pairs have the same similarity: the embedding is constant"):
        calibrate_on_val([Head("cosine")] * 2, torch.ones(4, 3), SETTINGS, a=a, b=b, same=same)


def test_an_ensemble_has_one_threshold():
    inputs, same = torch.eye(4), np.array([True, False])
    inputs[2] = inputs[0]
    a, b = np.array([0, 1]), np.array([2, 3])
    assert len(calibrate_on_val([Head("cosine")] * 2, inputs, SETTINGS, a=a, b=b, same=same)[0]) == 2
    together = SETTINGS.model_copy(update={"ensemble": True})
    assert calibrate_on_val([Head("cosine")] * 2, inputs, together, a=a, b=b, same=same)[0] == [0.5]
