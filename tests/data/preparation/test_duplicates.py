from io import BytesIO

import imagehash
import numpy as np
from made_rows import make_rows
from pictures import encoded, picture
from PIL import Image

from data.preparation.check import shrink
from data.preparation.duplicates import MAX_DIFFERENCE, dhash, near_duplicates, shared_images
from data.tables.rows import Rows


def test_the_hash_is_imagehashs_dhash():
    for seed in range(20):
        small = picture(seed, (72, 60)).convert("L")
        cells = small.resize((17, 16), Image.Resampling.BOX)  # imagehash resizes too: give it what stays as it is
        assert dhash(small).hex() == str(imagehash.dhash(cells, hash_size=16))


def test_shared_images_across_splits_only():
    rows = make_rows(12)
    digests = rows.sha256.copy()
    digests[1] = digests[0]  # both in train
    digests[2] = digests[4]  # val and test
    digests[5] = digests[11] = digests[0]  # test, and with train
    changed = Rows(**{**{name: getattr(rows, name) for name in rows.__dataclass_fields__}, "sha256": digests})
    assert shared_images(rows) == []
    assert shared_images(changed) == [[0, 1, 5, 11], [2, 4]]
    split = np.where(rows.split == "test", "submit", rows.split).astype(object)  # scored by nobody here: no leak
    kept = {**{name: getattr(changed, name) for name in rows.__dataclass_fields__}, "split": split}
    assert shared_images(Rows(**kept)) == []


def hashes() -> np.ndarray:
    """(60, 4): rows 30.. are near, nearly near, far from or as plain as rows 0.. are."""
    rng = np.random.default_rng(0)
    bits = rng.random((60, 256)) < np.linspace(0.2, 0.6, 60)[:, None]
    for row in range(30, 50):
        bits[row] = bits[row - 30]
        flipped = rng.choice(256, row - 30, replace=False)  # 0 to 19 bits
        bits[row, flipped] ^= True
    bits[[5, 55], 15:] = False  # plain, and alike
    return np.packbits(bits, axis=1).view(np.uint64)


def test_near_pictures_are_the_loops():
    dhashes = hashes()
    a, b = np.arange(30), np.arange(30, 60)
    wanted = []
    for i in a:
        for j in b:
            one, two = (int.from_bytes(dhashes[row].tobytes(), "big") for row in (i, j))
            enough = min(one.bit_count(), two.bit_count()) >= 16
            if enough and (one ^ two).bit_count() <= MAX_DIFFERENCE * (one | two).bit_count():
                wanted.append((i, j))
    pairs, total = near_duplicates(dhashes, a, b, max_pairs=1000)
    assert [tuple(pair) for pair in pairs] == wanted
    assert total == len(wanted) > 3
    few, total = near_duplicates(dhashes, a, b, max_pairs=2)
    assert [tuple(pair) for pair in few] == wanted[:2]
    assert total == len(wanted)
    none, total = near_duplicates(dhashes, a[:0], b, max_pairs=4)
    assert none.shape == (0, 2)
    assert total == 0


def test_a_picture_saved_again_is_near_and_another_is_not():
    dhashes = []
    for seed in range(8):
        large = picture(seed, (200, 160))
        again = Image.open(BytesIO(encoded(large.resize((150, 120)), "JPEG", quality=85)))
        dhashes += [dhash(shrink(large.copy())), dhash(shrink(again.convert("RGB")))]
    hashes = np.frombuffer(b"".join(dhashes), dtype=np.uint64).reshape(16, 4)
    pairs, total = near_duplicates(hashes, np.arange(0, 16, 2), np.arange(1, 16, 2), max_pairs=99)
    assert total == 8
    assert (pairs[:, 0] + 1 == pairs[:, 1]).all()
