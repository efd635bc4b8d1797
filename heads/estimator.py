"""A head as a scikit-learn transformer, for GridSearchCV and Pipeline."""

import warnings
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from heads.embeddings import concat_seeds
from heads.errors import HeadError
from heads.metrics.ranking import rank_queries
from heads.metrics.retrieval import retrieval
from heads.models.transforms import fit_transform
from heads.setting_rules import EMBEDDERS
from heads.settings import HeadSettings, parse_head_settings
from heads.similarity import embedding_similarity
from heads.store import encode_rows
from heads.training.samplers import make_training_set
from heads.training.seeds import train_heads


class HeadTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """An embedding in which rows of one label are close, learned on features of any origin.

    There is no val split inside: the result is that of the last epoch, and `epochs` is a parameter to search like
    others. `score` is recall@1, so `GridSearchCV` and `cross_val_score` work as they are.

    Parameters
    ----------
    inputs : {"none", "l2", "center", "whiten"}
        Transform of the features before the head, fitted in `fit`; `head.transform` of params.yaml.
    components : int, optional
        With `inputs="whiten"`: number of principal directions that are kept; all by default.
    whitening : float
        With `inputs="whiten"`: power of the standard deviation that each direction is divided by, 0 to 1.
    model : {"identity", "linear", "mlp", "residual", "pseudo_class", "membership"}
        The head. `identity` is the baseline: the features themselves.
    hidden : tuple of int
        Widths of the hidden layers of `mlp` and of the heads that are built on it.
    dim : int, optional
        Width E of the embedding; that of the features by default.
    cosine_weight : float
        Share of the features' own cosine in the similarity, 0 to below 1.
    dropout : float
        Of hidden layers, 0 to below 1.
    loss : str
        `contrastive`, `triplet`, `infonce`, `supcon`, `cross_entropy`, or a class name of pytorch-metric-learning.
    distance : {"cosine", "euclidean", "squared_euclidean"}
        What the loss compares embeddings by.
    margin : float, optional
        Of contrastive and triplet; the loss's own by default.
    margin_on : {"distance", "squared"}
        Of contrastive: max(margin - d, 0)^2, or max(margin - d^2, 0).
    temperature : float
        Of supcon, cross_entropy and membership; infonce learns its own from here.
    loss_args : dict, optional
        Further arguments of the loss.
    negatives : str
        `in_batch`, `semihard`, `hard`, `random:N` or `offline:N`.
    relative_margin, max_score : float, optional
        With `offline:N`: no negative above (1 - relative_margin) times the positive, or above max_score.
    batch : int
        Rows per step.
    images_per_group : int
        Rows of one label in a batch that are drawn together; labels with fewer rows are left out.
    epochs : int
        Passes over the training rows.
    lr : float
        Learning rate of AdamW.
    noise : float
        Length of Gaussian noise on each input, as a share of a unit vector.
    weight_decay : float
        Of AdamW.
    schedule : {"constant", "cosine"}
        Of the learning rate.
    seeds : int
        Heads that are trained from different initialisations; their embeddings lie side by side.
    random_state : int, RandomState or None
        Seed of initialisation, batches and noise.

    Attributes
    ----------
    classes_ : ndarray
        The labels seen in `fit`.
    n_features_in_ : int
        D, the width of the features.
    feature_names_in_ : ndarray of str
        The columns of a data frame given to `fit`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from heads.estimator import HeadTransformer
    >>> X, y = load_digits(return_X_y=True)
    >>> head = HeadTransformer(loss="supcon", dim=16, epochs=5, random_state=0).fit(X[:900], y[:900])
    >>> head.transform(X[900:]).shape
    (897, 16)
    >>> bool(head.score(X[900:], y[900:]) > 0.9)
    True
    """

    def __init__(
        self,
        *,
        inputs: str = "l2",
        components: int | None = None,
        whitening: float = 1.0,
        model: str = "linear",
        hidden: tuple[int, ...] = (),
        dim: int | None = None,
        cosine_weight: float = 0.0,
        dropout: float = 0.0,
        loss: str = "contrastive",
        distance: str = "cosine",
        margin: float | None = None,
        margin_on: str = "distance",
        temperature: float = 0.07,
        loss_args: dict[str, Any] | None = None,
        negatives: str = "in_batch",
        relative_margin: float | None = None,
        max_score: float | None = None,
        batch: int = 256,
        images_per_group: int = 2,
        epochs: int = 30,
        lr: float = 1e-3,
        noise: float = 0.0,
        weight_decay: float = 0.0,
        schedule: str = "cosine",
        seeds: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.inputs = inputs
        self.components = components
        self.whitening = whitening
        self.model = model
        self.hidden = hidden
        self.dim = dim
        self.cosine_weight = cosine_weight
        self.dropout = dropout
        self.loss = loss
        self.distance = distance
        self.margin = margin
        self.margin_on = margin_on
        self.temperature = temperature
        self.loss_args = loss_args
        self.negatives = negatives
        self.relative_margin = relative_margin
        self.max_score = max_score
        self.batch = batch
        self.images_per_group = images_per_group
        self.epochs = epochs
        self.lr = lr
        self.noise = noise
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.seeds = seeds
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "HeadTransformer":
        """Learn from features X (N, D), array or data frame, and labels y (N,): rows of one label are positives.

        Warns with a UserWarning where training collapsed or had nothing to learn from.

        Raises:
            ValueError: X or y is not what scikit-learn takes, or a label is missing (NaN, None).
            HeadError: an impossible parameter, or no label with `images_per_group` rows.
        """
        _check_labels(y)
        inputs, targets = self._validated(X, y, ensure_min_samples=2)
        check_classification_targets(targets)
        settings = self._settings()
        self.classes_, labels = np.unique(targets, return_inverse=True)
        features = torch.from_numpy(np.array(inputs))
        training_set = make_training_set(np.arange(len(labels)), labels, None, images=settings.images_per_group)
        self._transform = fit_transform(
            settings.transform, features, components=settings.components, power=settings.whitening
        )
        seed = int(check_random_state(self.random_state).randint(2**31))
        calls = count()  # in place of a val score: every epoch is better than the one before
        trained = train_heads(
            self._transform(features), training_set, settings, seed=seed, validate=lambda head: float(next(calls))
        )
        for message in (message for one in trained for message in one.warnings):
            warnings.warn(message, UserWarning, stacklevel=2)
        self._heads = [one.head for one in trained]
        self._n_features_out = self._embed(inputs[:1]).shape[1]
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Features X (N, D) -> embeddings (N, seeds * E), seeds side by side; a data frame after `set_output`.

        With `distance="cosine"` the inner product of two rows is their similarity.

        Raises:
            ValueError: X has other columns than in `fit`.
        """
        check_is_fitted(self)
        return self._embed(self._validated(X, reset=False))

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """recall@1 of X (N, D) with labels y (N,): how often the nearest other row has the same label.

        Rows whose label no other row has are left out, so in cross-validation each fold needs labels whole, or at least
        twice: GroupKFold(groups=y) tests on labels that training never saw, StratifiedKFold on new rows of known ones.

        Raises:
            ValueError: X and y have different lengths, or a label is missing.
            HeadError: no row has both a positive and a negative.
        """
        check_is_fitted(self)
        _check_labels(y)
        inputs, targets = self._validated(X, y, reset=False)
        labels = np.unique(targets, return_inverse=True)[1]
        rows = np.arange(len(labels))
        distance = "cosine" if self._heads[0].distance == "cosine" else "euclidean"
        similarity = embedding_similarity(torch.from_numpy(self._embed(inputs)), distance)
        ranks = rank_queries(similarity, labels, queries=rows, gallery=rows)
        return float(retrieval(ranks, ks=(1,)).recall[1].mean())

    def _validated(self, X: ArrayLike, y: ArrayLike = "no_validation", **checks: Any) -> Any:
        """X (N, D) as float32, or with labels (X, y), as scikit-learn checks them."""
        # scikit-learn annotates nothing, so pyright takes the type of its defaults, which are strings.
        return validate_data(self, X, y, dtype=np.float32, **checks)  # pyright: ignore[reportArgumentType]

    @torch.no_grad()
    def _embed(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs = self._transform(torch.from_numpy(np.array(X)))
        return concat_seeds(self._heads, torch.stack([encode_rows(head, inputs) for head in self._heads])).numpy()

    def _settings(self) -> HeadSettings:
        values = {name: value for name, value in self.get_params(deep=False).items() if name != "random_state"}
        values |= {"features": "", "transform": values.pop("inputs"), "loss_args": self.loss_args or {}}
        values["patience"] = max(1, self.epochs) if isinstance(self.epochs, int) else 1
        settings = parse_head_settings(values)
        if settings.model not in EMBEDDERS:
            raise HeadError(
                f"model {settings.model} classifies pairs and has no embeddings: use {', '.join(EMBEDDERS)}"
            )
        return settings

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_heads")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _check_labels(y: ArrayLike) -> None:
    """Raises ValueError where a label is missing: scikit-learn lets None through and fails on pandas' NA."""
    if y is None:  # scikit-learn has an error for that
        return
    missing = [row for row, label in enumerate(np.asarray(y, dtype=object).ravel()) if _is_missing(label)]
    if missing:
        raise ValueError(f"y has {len(missing)} missing labels (None or NaN), the first in row {missing[0]}: drop them")


def _is_missing(label: object) -> bool:
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(label, float | np.floating) and bool(np.isnan(label))
