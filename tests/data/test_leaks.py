import imagehash
import numpy as np
from PIL import Image
from test_rows import make_rows

from data.leaks import NEAR, look, near_pictures, shared_pictures
from data.rows import Rows
from pictures import picture


def test_the_hash_is_imagehashs_dhash():
    for seed in range(20):
        small = picture(seed, (72, 60)).convert("L")
        cells = small.resize((9, 8), Image.Resampling.BOX)  # imagehash resizes too: give it what stays as it is
        assert f"{look(small):016x}" == str(imagehash.dhash(cells))


def test_shared_pictures_across_splits_only():
    rows = make_rows(12)
    digests = rows.sha256.copy()
    digests[1] = digests[0]  # both in train
    digests[2] = digests[4]  # val and test
    digests[5] = digests[11] = digests[0]  # test, and with train
    changed = Rows(**{**{name: getattr(rows, name) for name in rows.__dataclass_fields__}, "sha256": digests})
    assert shared_pictures(rows) == []
    assert shared_pictures(changed) == [[0, 1, 5, 11], [2, 4]]


def test_near_pictures_are_the_loops():
    rng = np.random.default_rng(0)
    looks = rng.integers(0, 2**63, 60, dtype=np.uint64)
    looks[30:45] = looks[:15] ^ np.uint64(0b101 << 20)  # two bits away
    looks[45:50] = looks[:5] ^ np.uint64(0xFF)  # eight bits away
    looks[50:] = 0  # plain pictures: alike, and saying nothing
    looks[29] = 0
    a, b = np.arange(30), np.arange(30, 60)
    wanted = [
        (i, j)
        for i in a
        for j in b
        if bin(int(looks[i]) ^ int(looks[j])).count("1") <= NEAR and 6 <= int(looks[i]).bit_count() <= 58
    ]
    pairs, total = near_pictures(looks, a, b, most=1000)
    assert [tuple(pair) for pair in pairs] == wanted
    assert total == len(wanted) == 15
    few, total = near_pictures(looks, a, b, most=4)
    assert len(few) == 4
    assert total == 15
    none, total = near_pictures(looks, a[:0], b, most=4)
    assert none.shape == (0, 2)
    assert total == 0
