"""A head as a scikit-learn transformer: for GridSearchCV and Pipeline, on features from anywhere."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from heads.embeddings import concat_seeds
from heads.errors import HeadError
from heads.metrics.ranking import rank_queries
from heads.metrics.retrieval import retrieval
from heads.models.embedding_heads import Head
from heads.models.transforms import fit_transform
from heads.settings import EMBEDDERS, HeadSettings
from heads.similarity import embedding_similarity
from heads.store import encode_rows
from heads.training.loop import train_heads
from heads.training.samplers import make_pool


class HeadTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learns an embedding in which rows of one label lie together.

    Parameters are those of `head` in params.yaml (heads/settings.py says what each may be), for the models that embed;
    `inputs` is `head.transform`, whose name is a method's here, and `random_state` is the seed. There is no val split
    inside: the last epoch is the result, and `epochs` is one more parameter to search.

    Attributes:
        classes_: the labels seen in `fit`.
        n_features_in_: D.
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
        keep: float = 0.0,
        norm: str = "none",
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
        mixup: float = 0.0,
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
        self.keep = keep
        self.norm = norm
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
        self.mixup = mixup
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.seeds = seeds
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "HeadTransformer":
        """X (N, D) features, y (N,) labels: rows of one label are alike.

        Raises:
            ValueError: X or y is not what scikit-learn takes. HeadError: a parameter that cannot be, or no label with
                `images_per_group` rows.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_min_samples=2)
        check_classification_targets(y)
        settings = self._settings()
        self.classes_, labels = np.unique(y, return_inverse=True)
        features = torch.from_numpy(np.array(X))
        pool = make_pool(np.arange(len(labels)), labels, None, images=settings.images_per_group)
        self._transform = fit_transform(
            settings.transform, features, components=settings.components, power=settings.whitening
        )
        seed = int(check_random_state(self.random_state).randint(2**31))
        trained = train_heads(self._transform(features), pool, settings, seed=seed, validate=LastEpoch(settings.seeds))
        self._head, self._seeds = trained.head, settings.seeds
        self._n_features_out = self.transform(X[:1]).shape[1]
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """X (N, D) -> (N, E), seeds side by side; of `distance` cosine, inner products of rows are similarities."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        with torch.no_grad():
            encoded = encode_rows(self._head, self._transform(torch.from_numpy(np.array(X))), seeds=self._seeds)
            return concat_seeds(self._head, encoded).numpy()

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """recall@1: how often the row nearest to a row of X, among all others of X, has its label.

        Rows whose label no other row has are left out, so in cross-validation each fold needs labels whole, or at least
        twice: GroupKFold(groups=y) tests on labels that training never saw, StratifiedKFold on new rows of known ones.

        Raises:
            HeadError: no row has both a match and a non-match.
        """
        embeddings = torch.from_numpy(self.transform(X))
        labels = np.unique(np.asarray(y), return_inverse=True)[1]
        rows = np.arange(len(labels))
        similarity = embedding_similarity(embeddings, "cosine" if self._head.distance == "cosine" else "euclidean")
        ranks = rank_queries(similarity, labels, queries=rows, gallery=rows)
        return float(retrieval(ranks, ks=(1,)).recall[1].mean())

    def _settings(self) -> HeadSettings:
        values = {name: value for name, value in self.get_params(deep=False).items() if name != "random_state"}
        values |= {"features": "", "transform": values.pop("inputs"), "loss_args": self.loss_args or {}}
        values["patience"] = max(1, self.epochs) if isinstance(self.epochs, int) else 1
        try:
            settings = HeadSettings.model_validate(values)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise HeadError(f"{where}: {problem['msg']}" if where else problem["msg"]) from None
        if settings.model not in EMBEDDERS:
            raise HeadError(
                f"model {settings.model} classifies pairs and has no embeddings: use {', '.join(EMBEDDERS)}"
            )
        return settings

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_head")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class LastEpoch:
    """In place of val: every epoch is better than the one before."""

    def __init__(self, seeds: int) -> None:
        self.seeds, self.asked = seeds, 0

    def __call__(self, head: Head) -> list[float]:
        self.asked += 1
        return [float(self.asked)] * self.seeds
