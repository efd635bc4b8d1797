"""The scikit-learn face of heads: scikit-learn's own checks, and that it is the training which the pipeline runs."""

import inspect
import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from heads.errors import HeadError
from heads.estimator import HeadTransformer
from heads.models.transforms import fit_transform
from heads.settings import HeadSettings
from heads.training.samplers import make_training_set
from heads.training.seeds import train_heads


# Every check holds; none is expected to fail.
@parametrize_with_checks([HeadTransformer(epochs=2)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return X[:400].astype(np.float32), y[:400]


def test_parameters_are_those_of_params_yaml():
    ours = {name: one.default for name, one in inspect.signature(HeadTransformer).parameters.items()}
    theirs = {name: field.get_default() for name, field in HeadSettings.model_fields.items()}
    left_out = {"code", "features", "classifier", "ensemble", "patience", "select", "transform"}
    assert set(ours) - {"inputs", "random_state"} == set(theirs) - left_out
    assert ours["inputs"] == theirs["transform"] and ours["loss_args"] is None
    differ = {name for name in set(ours) & set(theirs) if ours[name] != theirs[name]}
    assert differ <= {"loss_args", "seeds"}


def test_is_the_training_of_the_pipeline(digits):
    X, y = digits
    ours = HeadTransformer(epochs=3, dim=8, random_state=7).fit(X, y)
    settings = HeadSettings(features="", epochs=3, dim=8, seeds=1, patience=3)
    transform = fit_transform("l2", torch.from_numpy(X))
    rows = make_training_set(np.arange(len(y)), y, None, images=2)
    seed = int(np.random.RandomState(7).randint(2**31))
    epochs = iter(range(9))
    (trained,) = train_heads(
        transform(torch.from_numpy(X)), rows, settings, seed=seed, validate=lambda head: next(epochs)
    )
    assert trained.best == 3
    with torch.no_grad():
        embedded = trained.head(transform(torch.from_numpy(X)))
    expected = torch.nn.functional.normalize(embedded, dim=1).numpy()
    np.testing.assert_allclose(ours.transform(X), expected, atol=1e-6)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_score_is_how_often_the_nearest_other_row_is_positive(digits, distance):
    X, y = digits
    head = HeadTransformer(epochs=5, lr=3e-3, distance=distance, random_state=0).fit(X[:200], y[:200])
    Z = head.transform(X[200:])
    squared = ((Z[:, None] - Z[None]) ** 2).sum(-1)
    np.fill_diagonal(squared, np.inf)
    oracle = (y[200:][squared.argmin(1)] == y[200:]).mean()
    assert head.score(X[200:], y[200:]) == pytest.approx(oracle, abs=1e-6)


def test_learns(digits):
    X, y = digits
    rng = np.random.default_rng(0)
    noisy = np.c_[X, 12 * rng.normal(size=X.shape)].astype(np.float32)  # half of the columns tell nothing
    before = HeadTransformer(model="identity").fit(noisy[:250], y[:250]).score(noisy[250:], y[250:])
    after = (
        HeadTransformer(loss="supcon", lr=5e-3, random_state=0).fit(noisy[:250], y[:250]).score(noisy[250:], y[250:])
    )
    assert after > before + 0.2


def test_in_a_pipeline_and_a_grid_search(digits):
    X, y = digits
    labels = np.array([f"digit {digit}" for digit in y])
    knn = make_pipeline(PCA(16), HeadTransformer(epochs=3, random_state=0), KNeighborsClassifier(3))
    assert cross_val_score(knn, X, labels, cv=3).mean() > 0.7
    search = GridSearchCV(
        HeadTransformer(epochs=2, random_state=0), {"loss": ["triplet", "supcon"], "dim": [4, 8]}, cv=3
    )
    found = search.fit(X, labels)
    assert found.best_params_.keys() == {"loss", "dim"} and 0.5 < found.best_score_ <= 1
    unseen = cross_val_score(HeadTransformer(epochs=2), X, labels, groups=labels, cv=GroupKFold(3))
    assert unseen.min() > 0.5


def test_some_principal_directions_are_all_that_a_head_sees(digits):
    X, y = digits
    head = HeadTransformer(inputs="whiten", components=6, whitening=0.5, epochs=1, random_state=0).fit(X, y)
    assert head.n_features_in_ == 64 and head.transform(X).shape == (400, 6)
    with pytest.raises(HeadError, match=r"^head.components 65: 400 training rows of 64 numbers have at most 64"):
        HeadTransformer(inputs="whiten", components=65).fit(X, y)


def test_seeds_lie_side_by_side_and_random_state_decides(digits):
    X, y = digits
    one, again, other = (
        HeadTransformer(epochs=2, dim=4, seeds=2, random_state=state).fit(X, y).transform(X) for state in (0, 0, 1)
    )
    assert one.shape == (400, 8) and (one == again).all() and not np.allclose(one, other)
    assert HeadTransformer(epochs=1, dim=4).fit(X, y).get_feature_names_out().tolist() == [
        f"headtransformer{column}" for column in range(4)
    ]


@pytest.mark.parametrize(
    "model", [{"model": "mlp", "hidden": (8,), "dropout": 0.3}, {"cosine_weight": 0.4}, {"inputs": "whiten"}]
)
def test_a_fitted_head_travels(digits, model):
    X, y = digits
    head = HeadTransformer(epochs=2, random_state=0, **model).fit(X, y)
    assert (pickle.loads(pickle.dumps(head)).transform(X) == head.transform(X)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "tripplet"}, "^loss: .*tripplet"),
        ({"model": "pair_mlp", "loss": "bce"}, "model pair_mlp classifies pairs and has no embeddings: use identity"),
        ({"loss": "bce"}, "loss bce needs a probability of a pair"),
        ({"epochs": 0}, "^epochs: Input should be greater than or equal to 1"),
        ({"images_per_group": 3, "batch": 16}, "batch 16 is not a multiple of images_per_group 3"),
    ],
)
def test_impossible_parameters(digits, changes, message):
    with pytest.raises(HeadError, match=message):
        HeadTransformer(**changes).fit(*digits)


def frame_of(library, X):
    module = pytest.importorskip(library)
    return module.DataFrame({f"pixel {column}": X[:, column] for column in range(X.shape[1])})


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_in_and_out(digits, library):
    """Without a warning; the numbers are those of arrays."""
    X, y = digits
    frame = frame_of(library, X)
    series = pytest.importorskip(library).Series(y)
    expected = HeadTransformer(epochs=2, dim=4, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain = HeadTransformer(epochs=2, dim=4, random_state=0).fit(frame, series)
        assert isinstance(plain.transform(frame), np.ndarray)
        framed = HeadTransformer(epochs=2, dim=4, random_state=0).set_output(transform=library)
        out = framed.fit_transform(frame, series)
        assert type(out).__module__.startswith(library)
        assert list(out.columns) == list(framed.get_feature_names_out()) == [f"headtransformer{i}" for i in range(4)]
        assert framed.score(frame, series) == expected.score(X, y)
        pipeline = make_pipeline(StandardScaler(), HeadTransformer(epochs=1, dim=4))
        with config_context(transform_output=library):
            assert type(pipeline.fit(frame, y).transform(frame)).__module__.startswith(library)
            assert 0 < pipeline.score(frame, y) <= 1
    np.testing.assert_array_equal(np.asarray(out), expected.transform(X))
    assert list(plain.feature_names_in_) == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        plain.transform(frame[list(frame.columns)[::-1]])


@pytest.mark.parametrize("missing", [None, np.nan, float("nan")], ids=["None", "numpy-nan", "nan"])
def test_missing_labels_are_refused(digits, missing):
    X, y = digits
    fitted = HeadTransformer(epochs=1).fit(X, y)
    for labels in ([missing, *y[1:].tolist()], np.array([*y[:-1], missing], dtype=object)):
        for ask in (HeadTransformer(epochs=1).fit, fitted.score):
            with pytest.raises(ValueError, match=r"1 missing label.*row"):
                ask(X, labels)


def test_missing_labels_of_pandas_are_refused(digits):
    pandas = pytest.importorskip("pandas")
    X, y = digits
    for dtype in ("object", "string", "Int64"):
        labels = pandas.Series([str(label) if dtype == "string" else label for label in y], dtype=dtype)
        labels.iloc[5] = pandas.NA
        with pytest.raises(ValueError, match=r"missing label.*row 5"):
            HeadTransformer(epochs=1).fit(X, labels)


def test_score_needs_a_label_per_row(digits):
    X, y = digits
    head = HeadTransformer(epochs=1).fit(X, y)
    for labels in (y[:-1], np.r_[y, y[:5]]):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            head.score(X, labels)


def test_a_collapsed_head_warns(digits):
    X, y = digits
    with pytest.warns(UserWarning, match="collapsed"):
        HeadTransformer(epochs=2, random_state=0).fit(1000 + 1e-3 * X, y)


def test_labels_that_come_once():
    with pytest.raises(HeadError, match="no training group has 2 images"):
        HeadTransformer(epochs=1).fit(np.eye(4), [0, 1, 2, 3])
