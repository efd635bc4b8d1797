"""A trained head as two files: `head.safetensors` (weights, without pickle) and `head.json` (all else)."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Generator, Tensor, nn

from heads.calibration import Calibration
from heads.errors import HeadError
from heads.head_json import ABOUT, HeadJson, dump_head_json, parse_head_json
from heads.models.base import Head
from heads.models.registry import build_head
from heads.models.transforms import Transform
from heads.settings import HeadSettings
from heads.similarity import Similarity, embedding_similarity

WEIGHTS = "head.safetensors"
AGAIN = "copy it anew, or run `dvc repro --force --single-item train`"
CHUNK = 65_536  # rows encoded at once


@dataclass(frozen=True)
class TrainedHead:
    """S trained heads, one per seed, with their transform, and hashes of what they were trained on."""

    settings: HeadSettings
    width: int  # D, of the features
    groups: int  # of training
    transform: Transform
    heads: list[Head]  # (S,)
    thresholds: list[float]  # (S,), or (1,) of an ensemble: alike from this similarity on; chosen on val
    calibration: Calibration  # of the mean similarity of the seeds, by which a head is used
    best_epochs: list[int]  # (S,)
    features_sha256: str
    images_hash: str
    protocol_sha256: str

    @property
    def embeds(self) -> bool:
        """Whether similarity is the cosine or negated distance of two embeddings; else a classifier's logit."""
        return self.heads[0].embeds

    @property
    def distance(self) -> str:
        return self.heads[0].distance

    def embeddings(self, features: Tensor) -> Tensor:
        """(N, D) -> (S, N, E) float32.

        Raises:
            HeadError: these features are of another width than those of training.
        """
        if features.shape[1] != self.width:
            raise HeadError(
                f"the head was trained on features of width {self.width}, these have {features.shape[1]}: "
                "use the feature set named in head.json, or train again"
            )
        self.transform.to(features.device)
        inputs = self.transform(features.float())
        return torch.stack([encode_rows(head.to(features.device), inputs) for head in self.heads])

    def similarities(self, features: Tensor) -> list[Similarity]:
        """One similarity per seed, over the rows of `features` (N, D); for an ensemble one, their mean."""
        return similarities(self.heads, self.embeddings(features), ensemble=self.settings.ensemble)


@torch.inference_mode()
def encode_rows(head: Head, inputs: Tensor) -> Tensor:
    """Transformed inputs (N, D) -> embeddings (N, E), in chunks."""
    return torch.cat([head(chunk) for chunk in inputs.split(CHUNK)])


def similarities(heads: list[Head], embeddings: Tensor, *, ensemble: bool = False) -> list[Similarity]:
    """One similarity per seed, from the heads and their embeddings (S, N, E); their mean alone for an ensemble."""
    of_seeds = [head_similarity(head, rows) for head, rows in zip(heads, embeddings, strict=True)]
    return [mean_similarity(of_seeds)] if ensemble else of_seeds


def head_similarity(head: Head, embeddings: Tensor) -> Similarity:
    """The similarity of the rows of `embeddings` (N, E), outputs of `head`."""
    if head.embeds:
        # A distance and its square give the same ranking; scores and thresholds are of the distance itself.
        return embedding_similarity(embeddings, "cosine" if head.distance == "cosine" else "euclidean")

    @torch.no_grad()
    def block(q: Tensor, g: Tensor) -> Tensor:
        return head.pairwise(embeddings[q], embeddings[g])

    @torch.no_grad()
    def pairs(a: Tensor, b: Tensor) -> Tensor:
        return head.elementwise(embeddings[a], embeddings[b])

    return Similarity(block=block, pairs=pairs)


def mean_similarity(several: list[Similarity]) -> Similarity:
    """The ensemble: the mean of the similarities of several heads."""
    return Similarity(
        block=lambda q, g: torch.stack([one.block(q, g) for one in several]).mean(0),
        pairs=lambda a, b: torch.stack([one.pairs(a, b) for one in several]).mean(0),
    )


def dump_head(trained: TrainedHead) -> dict[str, bytes]:
    """File name -> content. Equal heads give equal bytes."""
    tensors = {f"head.{name}": value for name, value in nn.ModuleList(trained.heads).state_dict().items()}
    tensors |= {f"transform.{name}": value for name, value in trained.transform.state_dict().items()}
    weights = save({name: value.cpu().contiguous() for name, value in sorted(tensors.items())})
    about = {
        "settings": trained.settings.model_dump(mode="json"),
        "width": trained.width,
        "groups": trained.groups,
        "thresholds": [round(threshold, 6) for threshold in trained.thresholds],
        "calibration": {name: round(value, 6) for name, value in asdict(trained.calibration).items()},
        "best_epochs": trained.best_epochs,
        "features_sha256": trained.features_sha256,
        "images_hash": trained.images_hash,
        "protocol_sha256": trained.protocol_sha256,
        "weights_sha256": sha256(weights).hexdigest(),
    }
    return {WEIGHTS: weights, ABOUT: dump_head_json(about)}


def head_sha256(trained: TrainedHead) -> str:
    """Of its weights and settings."""
    return sha256(b"".join(dump_head(trained).values())).hexdigest()


def load_head(folder: Path) -> TrainedHead:
    """Read what `dump_head` wrote, and check it.

    Raises:
        HeadError: no head there; a damaged file; weights that are not finite, or do not fit the settings.

    >>> import tempfile
    >>> import numpy as np
    >>> from heads import train_head
    >>> labels = np.repeat(np.arange(30), 4)
    >>> features = np.eye(30)[labels] + 0.6 * np.random.default_rng(0).normal(size=(120, 30))
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, content in dump_head(train_head(features, labels, {"epochs": 1})).items():
    ...     _ = (folder / name).write_bytes(content)
    >>> load_head(folder).embeddings(torch.from_numpy(features)).shape  # 3 seeds
    torch.Size([3, 120, 30])
    """
    for name in (ABOUT, WEIGHTS):
        if not (folder / name).is_file():
            raise HeadError(f"{folder / name}: no trained head here: run `dvc repro train`")
    try:
        about = parse_head_json((folder / ABOUT).read_bytes())
    except KeyError:
        raise HeadError(f"{folder / ABOUT}: of another version, without a sha256: run `dvc repro`") from None
    except ValueError as error:
        raise HeadError(f"{folder / ABOUT}: damaged head ({_brief(error)}): {AGAIN}") from None
    content = (folder / WEIGHTS).read_bytes()
    if sha256(content).hexdigest() != about.weights_sha256:
        raise HeadError(f"{folder / WEIGHTS}: damaged head (cut off or changed: its sha256 is another): {AGAIN}")
    try:
        transform, heads = _restore(about, load(content))
    except (KeyError, RuntimeError, SafetensorError, ValueError) as error:
        raise HeadError(f"{folder}: weights and settings do not fit together ({_brief(error)}): {AGAIN}") from None
    known: dict[str, Any] = {name: getattr(about, name) for name in HeadJson.model_fields if name != "weights_sha256"}
    known |= {name: list(known[name]) for name in ("thresholds", "best_epochs")}
    return TrainedHead(transform=transform, heads=heads, **known)


def _restore(about: HeadJson, tensors: dict[str, Tensor]) -> tuple[Transform, list[Head]]:
    """The transform and the heads that `about` describes, filled with `tensors`.

    Raises:
        KeyError, RuntimeError, ValueError: these are of others, or are not finite.
    """
    settings = about.settings
    if not_finite := [name for name, value in tensors.items() if not value.isfinite().all()]:
        raise ValueError(f"{not_finite[0]} is not finite")
    transform = Transform(settings.transform, tensors["transform.mean"], tensors["transform.matrix"])
    width = transform(torch.zeros(1, about.width)).shape[1]
    if width != (settings.components or about.width):
        raise ValueError(f"the transform gives {width} numbers")
    widest = max((size for value in tensors.values() for size in value.shape), default=0)
    widths = [width, *settings.hidden, *settings.classifier, settings.dim or 0]
    widths += [about.groups] if settings.model == "membership" else []
    if settings.model != "identity" and max(widths) > widest:  # before that much memory is allocated
        raise ValueError(f"no weights of width {max(widths)}")
    heads = [build_head(settings, width, Generator(), groups=about.groups) for _ in range(settings.seeds)]
    weights = {name.removeprefix("head."): value for name, value in tensors.items() if name.startswith("head.")}
    nn.ModuleList(heads).load_state_dict(weights)
    return transform, [head.eval() for head in heads]


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else first["msg"]
    return " ".join(str(error).split())[:120]
