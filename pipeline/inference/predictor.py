"""A trained head with the networks before it: images in, embeddings, similarities and probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from data.images.open_images import ImageLike, open_images
from features.extraction.encode import Encoder
from features.extraction.precision import matching_dtype
from features.storage.concat import concatenate
from heads.embeddings import embed, similarity_matrix
from heads.errors import HeadError
from heads.metrics.ranking import NOT_FINITE
from heads.store import TrainedHead, head_sha256
from heads.store import load_head as load_trained
from pipeline.devices import device as this_device
from pipeline.inference.feature_sources import FeatureSet, find_networks
from pipeline.paths import ARTIFACTS, head_folder
from pipeline.put_away import restore_data_sets

ImageLikes = ImageLike | Sequence[ImageLike]
FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Of pairs of images; all arrays have one shape."""

    similarity: NDArray[np.float32]  # as the head measures it: a cosine, a negated distance, or a logit
    probability: NDArray[np.float64]  # of "same", were alike and different pairs equally frequent
    alike: NDArray[np.bool_]  # similarity at least `threshold`
    threshold: float  # chosen on val


class Predictor:
    """`load_head` makes it. An image is a path, a local address, encoded bytes, or a Pillow picture; every one is
    decoded as data sets are. What several seeds say is averaged.
    """

    def __init__(
        self, trained: TrainedHead, feature_set: FeatureSet, *, device: torch.device, dtype: torch.dtype | None = None
    ) -> None:
        """`dtype`: of every network's forward pass; None: of each what its features were made in."""
        self.trained = trained
        self.feature_set = feature_set
        self.device, self.dtype = device, dtype

    @cached_property
    def _encoders(self) -> list[Encoder]:
        return [
            Encoder(part.network, device=self.device, dtype=self.dtype or matching_dtype(part.provenance, self.device))
            for part in self.feature_set.parts
        ]

    @cached_property
    def sha256(self) -> str:
        """Of the head's own weights and settings, not of the networks before it."""
        return head_sha256(self.trained)

    @property
    def threshold(self) -> float:
        """Alike from this similarity on."""
        return self.trained.calibration.threshold

    def embed(self, images: ImageLikes) -> FloatArray:
        """n images -> (n, E); one image -> (E,). Of a head that compares by cosine, inner products are similarities.

        Several seeds lie side by side.

        Raises:
            HeadError: the head classifies pairs. DataError: an image cannot be used.
        """
        if not self.trained.embeds:
            raise HeadError(
                f"a {self.trained.settings.model} head has no embeddings, it classifies pairs: ask for similarity"
            )
        embeddings = self.embeddings(_listed(images)).cpu().numpy()
        return embeddings if _several(images) else embeddings[0]

    def similarity(self, a: ImageLikes, b: ImageLikes) -> FloatArray:
        """Every image of `a` against every one of `b` -> (A, B); one image in place of a list has no axis.

        Raises:
            DataError: an image cannot be used.
        """
        left, right = _listed(a), _listed(b)
        embeddings = self.embeddings([*left, *right])
        return _shaped(self.similarity_of(embeddings[: len(left)], embeddings[len(left) :]), a, b)

    def probability(self, a: ImageLikes, b: ImageLikes) -> NDArray[np.float64]:
        """Of "same", calibrated on val, where half of the pairs are; shapes and errors as `similarity`."""
        return self.comparison_of(self.similarity(a, b)).probability

    def compare(self, a: ImageLikes, b: ImageLikes) -> Comparison:
        """Similarity, probability and decision at once; shapes and errors as `similarity`."""
        return self.comparison_of(self.similarity(a, b))

    def comparison_of(self, similarity: FloatArray) -> Comparison:
        """What similarities (of any shape) mean."""
        similarity = np.asarray(similarity)
        probability = self.trained.calibration.probability(similarity)
        return Comparison(similarity, probability, similarity >= self.threshold, self.threshold)

    def embeddings(self, images: Sequence[ImageLike]) -> Tensor:
        """(n, W) on the head's device: what `similarity_of` compares. There are embeddings for every head."""
        return self.embeddings_of(self.features(images))

    def embeddings_of(self, features: np.ndarray) -> Tensor:
        """Features (n, D) as features.npy has them -> embeddings (n, W)."""
        return embed(self.trained, torch.from_numpy(features).to(self.device).float())

    def similarity_of(self, a: Tensor, b: Tensor) -> FloatArray:
        """Embeddings (A, W), (B, W) -> similarities (A, B).

        Raises:
            HeadError: one is not finite.
        """
        similarities = similarity_matrix(self.trained, a, b).cpu().numpy()
        if not np.isfinite(similarities).all():
            raise HeadError(f"{NOT_FINITE}; run `dvc repro --force --single-item train`")
        return similarities

    def features(self, images: Sequence[ImageLike]) -> np.ndarray:
        """n images through the networks -> (n, D) float16, as features.npy has them."""
        return self.features_of([opened.picture for opened in open_images(images)])

    def features_of(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """The same of pictures that `open_images` has opened: RGB, upright, on white."""
        if not pictures:
            return np.empty((0, self.feature_set.width), np.float16)
        parts = [encoder(pictures) for encoder in self._encoders]
        if len(parts) == 1:
            return parts[0]
        return concatenate(*parts, weights=self.feature_set.weights)


def load_head(folder: str | Path | None = None) -> Predictor:
    """The head in `folder`, `artifacts/<dataset>/head`; without it that of the data set of params.yaml, from the
    project's top folder.

    Raises:
        HeadError, FeatureError, ParamError: no head there; or what it was trained on is not there any more.
    """
    if folder is None:
        from pipeline.params import load_params

        folder = head_folder(load_params())
    folder = Path(folder)
    if not folder.exists() and folder.parent.parent == ARTIFACTS:
        restore_data_sets()
    trained = load_trained(folder)
    found = find_networks(folder.parent / "features", trained.settings.features, npy_sha256=trained.features_sha256)
    return Predictor(trained, found, device=this_device())


def _several(images: ImageLikes) -> bool:
    return isinstance(images, Sequence) and not isinstance(images, str | bytes)


def _listed(images: ImageLikes) -> list[ImageLike]:
    if isinstance(images, Sequence) and not isinstance(images, str | bytes):
        return list(images)
    return [images]


def _shaped(matrix: FloatArray, a: ImageLikes, b: ImageLikes) -> FloatArray:
    return matrix[slice(None) if _several(a) else 0][..., slice(None) if _several(b) else 0]
