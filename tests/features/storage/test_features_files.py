import numpy as np
import pytest

from data.files.atomic import sha256_file
from features.errors import FeatureError
from features.storage.features_files import (
    ARRAY,
    SIDECAR,
    RowWriter,
    load_features,
    new_features,
    read_sidecar,
    save_features,
)
from features.storage.sealed_json import seal, unseal

HASH = "a" * 64
PROVENANCE = {"backbone": {"model": "tiny"}, "dtype": "float32"}


def rows(count: int = 5, width: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, width)).astype(np.float16)


@pytest.fixture
def saved(tmp_path):
    save_features(tmp_path / "set", rows(), images_hash=HASH, provenance=PROVENANCE)
    return tmp_path / "set"


def test_what_is_saved_is_loaded(saved):
    loaded = load_features(saved, images_hash=HASH)
    assert loaded.dtype == np.float16 and (loaded == rows()).all()
    assert load_features(saved, images_hash=HASH, views=True).shape == (5, 1, 3)
    sidecar = read_sidecar(saved)
    assert sidecar.shape == (5, 3) and sidecar.provenance == PROVENANCE and sidecar.images_hash == HASH


def test_equal_inputs_give_equal_bytes_and_nothing_else_is_left(saved, tmp_path):
    save_features(tmp_path / "again", rows(), images_hash=HASH, provenance=PROVENANCE)
    for name in (ARRAY, SIDECAR):
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert sorted(path.name for path in saved.iterdir()) == [SIDECAR, ARRAY]


def test_numpy_reads_the_array_by_itself(saved):
    assert (np.load(saved / ARRAY) == rows()).all()


def test_views_are_kept_apart_and_the_first_is_the_plain_one(tmp_path):
    views = rows(4, 6).reshape(4, 2, 3)
    save_features(tmp_path, views, images_hash=HASH, provenance=PROVENANCE)
    assert (load_features(tmp_path, images_hash=HASH) == views[:, 0]).all()
    assert (load_features(tmp_path, images_hash=HASH, views=True) == views).all()


def test_rows_in_any_order_and_in_runs(tmp_path):
    wanted = rows(9)
    with new_features(tmp_path, wanted.shape, images_hash=HASH, provenance=PROVENANCE) as writer:
        for picked in ([8], [3, 4, 5], [0, 2, 7], [1, 6]):
            writer.write(np.array(picked), wanted[picked])
    assert (load_features(tmp_path, images_hash=HASH) == wanted).all()


def test_a_row_that_was_never_written_is_a_bug_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(AssertionError, match="2 rows were never written, first 1"),
        new_features(tmp_path, (4, 3), images_hash=HASH, provenance=PROVENANCE) as writer,
    ):
        writer.write(np.array([0, 3]), rows(2))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_rewrite_does_not_leave_the_old_set_valid(saved):
    with (
        pytest.raises(KeyboardInterrupt),
        new_features(saved, (5, 3), images_hash=HASH, provenance=PROVENANCE),
    ):
        raise KeyboardInterrupt
    with pytest.raises(FeatureError, match=r"features.json: not here"):
        load_features(saved, images_hash=HASH)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_nan_and_what_float16_cannot_hold_is_refused(tmp_path, bad):
    features = rows().astype(np.float32)
    features[3, 1] = bad
    with pytest.raises(FeatureError, match="row 3 is NaN or infinite in float16"):
        save_features(tmp_path, features, images_hash=HASH, provenance=PROVENANCE)
    assert list(tmp_path.iterdir()) == []


def damage_cut(folder):
    path = folder / ARRAY
    path.write_bytes(path.read_bytes()[:-3])


def damage_flip(folder):
    content = bytearray((folder / ARRAY).read_bytes())
    content[-1] ^= 1
    (folder / ARRAY).write_bytes(content)


def write_sidecar(folder, **fields):
    """A sidecar with the sha256 of the array as it is."""
    sidecar = unseal((folder / SIDECAR).read_bytes())
    (folder / SIDECAR).write_bytes(seal(sidecar | {"npy_sha256": sha256_file(folder / ARRAY), **fields}))


def damage_nan(folder):
    features = rows()
    features[2, 0] = np.nan
    np.save(folder / ARRAY, features)
    write_sidecar(folder)


def damage_dtype(folder):
    np.save(folder / ARRAY, rows().astype(np.float32))
    write_sidecar(folder)


def damage_pickle(folder):
    np.save(folder / ARRAY, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    write_sidecar(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_cut, "features.npy: its sha256 is not that in its sidecar (cut off or changed)"),
        (damage_flip, "features.npy: its sha256 is not that in its sidecar (cut off or changed)"),
        (damage_nan, "features.npy: row 2 is NaN or infinite"),
        (damage_dtype, "features.npy: float32 (5, 3), its sidecar has float16 (5, 3)"),
        (damage_pickle, "features.npy: not a .npy file"),
        (lambda folder: write_sidecar(folder, shape=[5, 4]), "float16 (5, 3), its sidecar has float16 (5, 4)"),
        (lambda folder: (folder / ARRAY).unlink(), "features.npy: not here"),
        (lambda folder: (folder / SIDECAR).unlink(), "features.json: not here"),
        (lambda folder: (folder / SIDECAR).write_text('{"shape": 1'), "features.json: no sidecar of this version"),
        (lambda folder: (folder / SIDECAR).write_text('{"shape": [5, 3]}'), "no sidecar of this version (no sha256"),
        (lambda folder: write_sidecar(folder, extra=1), "features.json: no sidecar of this version"),
        (lambda folder: write_sidecar(folder, shape=None), "features.json: no sidecar of this version"),
        (lambda folder: write_sidecar(folder, shape="abc"), "features.json: no sidecar of this version"),
        (lambda folder: write_sidecar(folder, provenance=None), "features.json: no sidecar of this version"),
        (lambda folder: write_sidecar(folder, shape=[5, 10**30]), "its sidecar has float16"),
    ],
)
def test_every_damage_is_one_line_with_the_remedy(saved, damage, message):
    damage(saved)
    with pytest.raises(FeatureError) as error:
        load_features(saved, images_hash=HASH)
    assert message in str(error.value)
    assert f"delete {saved} and run `dvc repro`" in str(error.value) and "\n" not in str(error.value)


def test_other_images_or_another_order(saved):
    with pytest.raises(FeatureError, match="made from other images, or in another order; delete"):
        load_features(saved, images_hash="b" * 64)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FeatureError, match=r"features\.json: not here; delete .* and run `dvc repro`"):
        load_features(tmp_path / "nowhere", images_hash=HASH)


def test_writer_matches_a_plain_array(tmp_path):
    rng = np.random.default_rng(1)
    wanted = rng.normal(size=(50, 7)).astype(np.float16)
    with (tmp_path / "a.npy").open("wb") as file:
        writer = RowWriter(file, wanted.shape)
        for picked in np.array_split(np.arange(50), 13):
            writer.write(picked, wanted[picked])
        writer.check_whole()
    assert (np.load(tmp_path / "a.npy") == wanted).all()


@pytest.mark.parametrize("name", [ARRAY, SIDECAR])
def test_one_changed_bit_anywhere_is_said(saved, name):
    content = (saved / name).read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (saved / name).write_bytes(damaged)
        with pytest.raises(FeatureError, match=rf"{name}: .*dvc repro"):
            load_features(saved, images_hash=HASH)
