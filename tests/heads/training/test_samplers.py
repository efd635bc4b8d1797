import numpy as np
import pytest

from heads.errors import HeadError
from heads.training.samplers import batches_per_epoch, epoch_batches, epoch_blocks, make_training_set, random_negatives


def set_of(sizes, sides=None, images=2):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return make_training_set(np.arange(len(labels)) + 100, labels, sides, images=images)


@pytest.mark.parametrize("images", [2, 3, 4])
def test_blocks_hold_one_group_each_and_no_row_twice(images):
    training_set = set_of([4, 5, 9, 7, 12], images=images)
    blocks = epoch_blocks(training_set, images, np.random.default_rng(0))
    assert all(len(set(training_set.labels[block])) == 1 for block in blocks)
    assert len(np.unique(blocks)) == blocks.size
    assert len(blocks) == sum(size // images for size in [4, 5, 9, 7, 12])


def test_every_row_is_drawn_in_some_epoch():
    training_set = set_of([3, 5])
    rng = np.random.default_rng(0)
    seen = {row for _ in range(20) for row in epoch_blocks(training_set, 2, rng).ravel()}
    assert seen == set(range(8))


def test_pairs_put_the_query_side_first():
    sides = np.tile([1, 0], 6)
    training_set = set_of([2] * 6, sides=sides)
    blocks = epoch_blocks(training_set, 2, np.random.default_rng(0))
    assert (training_set.sides[blocks] == [0, 1]).all()


def test_batches_have_one_shape_and_a_small_set_makes_one_batch():
    assert epoch_batches(set_of([2] * 10), batch=8, images=2, rng=np.random.default_rng(0)).shape == (2, 4, 2)
    assert epoch_batches(set_of([2] * 3), batch=64, images=2, rng=np.random.default_rng(0)).shape == (1, 3, 2)


@pytest.mark.parametrize("sizes, batch, images", [([2] * 10, 8, 2), ([2] * 3, 64, 2), ([9, 7, 12], 8, 4)])
def test_batches_are_counted_without_drawing_them(sizes, batch, images):
    training_set = set_of(sizes, images=images)
    drawn = epoch_batches(training_set, batch=batch, images=images, rng=np.random.default_rng(0))
    assert batches_per_epoch(training_set, batch=batch, images=images) == len(drawn)


def test_labels_can_be_numbered_from_zero():
    assert set(set_of([1, 2, 1, 3]).numbered().labels) == {0, 1}


def test_small_groups_are_left_out_and_counted():
    training_set = set_of([1, 2, 1, 3])
    assert training_set.left_out == 2
    assert set(training_set.labels) == {1, 3}


def test_no_group_with_a_positive_fails():
    with pytest.raises(HeadError, match="no training group has 2 images, so no anchor has a positive"):
        set_of([1, 1, 1])


def test_one_group_fails():
    with pytest.raises(HeadError, match="all of one group, so no anchor has a negative"):
        set_of([5])


def test_random_negatives_are_of_other_groups_on_the_gallery_side():
    sides = np.tile([0, 1], 3)
    training_set = set_of([2] * 3, sides=sides)
    anchors = np.array([0, 2, 4])
    chosen = random_negatives(training_set, anchors, 200, np.random.default_rng(0))
    assert chosen.shape == (3, 200)
    assert (training_set.labels[chosen] != training_set.labels[anchors][:, None]).all()
    assert (training_set.sides[chosen] == 1).all()
    for row, anchor in zip(chosen, anchors, strict=True):  # every other gallery row comes up
        assert set(row) == {1, 3, 5} - {anchor + 1}
