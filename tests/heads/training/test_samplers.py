import numpy as np
import pytest

from heads.errors import HeadError
from heads.training.samplers import epoch_batches, epoch_blocks, make_pool, random_negatives


def pool_of(sizes, sides=None, images=2):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    return make_pool(np.arange(len(codes)) + 100, codes, sides, images=images)


@pytest.mark.parametrize("images", [2, 3, 4])
def test_blocks_hold_one_group_each_and_no_row_twice(images):
    pool = pool_of([4, 5, 9, 7, 12], images=images)
    blocks = epoch_blocks(pool, images, np.random.default_rng(0))
    assert all(len(set(pool.codes[block])) == 1 for block in blocks)
    assert len(np.unique(blocks)) == blocks.size
    assert len(blocks) == sum(size // images for size in [4, 5, 9, 7, 12])


def test_every_row_is_drawn_in_some_epoch():
    pool = pool_of([3, 5])
    draw = np.random.default_rng(0)
    seen = {row for _ in range(20) for row in epoch_blocks(pool, 2, draw).ravel()}
    assert seen == set(range(8))


def test_pairs_put_the_query_side_first():
    sides = np.tile([1, 0], 6)
    pool = pool_of([2] * 6, sides=sides)
    blocks = epoch_blocks(pool, 2, np.random.default_rng(0))
    assert (pool.sides[blocks] == [0, 1]).all()


def test_batches_have_one_shape_and_a_small_pool_makes_one_batch():
    assert epoch_batches(pool_of([2] * 10), batch=8, images=2, draw=np.random.default_rng(0)).shape == (2, 4, 2)
    assert epoch_batches(pool_of([2] * 3), batch=64, images=2, draw=np.random.default_rng(0)).shape == (1, 3, 2)


def test_small_groups_are_left_out_and_counted():
    pool = pool_of([1, 2, 1, 3])
    assert pool.left_out == 2
    assert set(pool.codes) == {1, 3}


def test_no_group_with_a_positive_fails():
    with pytest.raises(HeadError, match="no training group has 2 images, so no anchor has a positive"):
        pool_of([1, 1, 1])


def test_one_group_fails():
    with pytest.raises(HeadError, match="all of one group, so no anchor has a negative"):
        pool_of([5])


def test_random_negatives_are_of_other_groups_on_the_gallery_side():
    sides = np.tile([0, 1], 3)
    pool = pool_of([2] * 3, sides=sides)
    anchors = np.array([0, 2, 4])
    chosen = random_negatives(pool, anchors, 200, np.random.default_rng(0))
    assert chosen.shape == (3, 200)
    assert (pool.codes[chosen] != pool.codes[anchors][:, None]).all()
    assert (pool.sides[chosen] == 1).all()
    for row, anchor in zip(chosen, anchors, strict=True):  # every other gallery row comes up
        assert set(row) == {1, 3, 5} - {anchor + 1}
