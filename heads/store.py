"""A trained head as two files: `head.safetensors` (weights; never pickle) and `head.json` (what they mean)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from heads.calibration import Calibration
from heads.errors import HeadError
from heads.models.embedding_heads import Head
from heads.models.layers import generators
from heads.models.pair_heads import seed_of
from heads.models.registry import build_head
from heads.models.transforms import Transform
from heads.settings import HeadSettings
from heads.similarity import Similarity, embedding_similarity

CHUNK = 65_536  # rows encoded at once


@dataclass(frozen=True)
class TrainedHead:
    """S heads ready to use, the transform before them, and what they were trained on."""

    settings: HeadSettings
    width: int  # D, of the features
    groups: int  # of training
    transform: Transform
    head: Head
    thresholds: list[float]  # (S,), or (1,) of an ensemble: alike from this similarity on; chosen on val
    calibration: Calibration  # of the mean of the seeds, which is how a head is used
    best_epochs: list[int]  # (S,)
    features_sha256: str
    images_hash: str
    protocol_sha256: str

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
        self.head.to(features.device)
        self.transform.to(features.device)
        return encode_rows(self.head, self.transform(features.float()), seeds=self.settings.seeds)

    def similarities(self, features: Tensor) -> list[Similarity]:
        """One similarity a seed, over the rows of `features` (N, D); one in all for an ensemble."""
        return similarities(self.head, self.embeddings(features), ensemble=self.settings.ensemble)


@torch.inference_mode()
def encode_rows(head: Head, inputs: Tensor, *, seeds: int) -> Tensor:
    """Transformed inputs (N, D) through every seed's head: (S, N, E)."""
    parts = [head.encode(chunk.expand(seeds, -1, -1)) for chunk in inputs.split(CHUNK)]
    return torch.cat(parts, 1)


def similarities(head: Head, encoded: Tensor, *, ensemble: bool = False) -> list[Similarity]:
    """One similarity a seed, from what `encode_rows` gave (S, N, E); their mean alone for an ensemble."""
    if ensemble:
        return [mean_similarity(similarities(head, encoded))]
    if head.embeds:
        # A distance and its square rank alike; scores and thresholds speak of the distance itself.
        distance = "cosine" if head.distance == "cosine" else "euclidean"
        return [embedding_similarity(seed, distance) for seed in encoded]
    return [_pair_similarity(seed_of(head, s), encoded[s : s + 1]) for s in range(len(encoded))]


def _pair_similarity(head: Head, encoded: Tensor) -> Similarity:
    """The logits of one seed's classifier of pairs, encoded (1, N, E)."""

    @torch.no_grad()
    def block(q: Tensor, g: Tensor) -> Tensor:
        return head.block(encoded[:, q], encoded[:, g])[0]

    @torch.no_grad()
    def pairs(a: Tensor, b: Tensor) -> Tensor:
        return head.rowwise(encoded[:, a], encoded[:, b].unsqueeze(2))[0, :, 0]

    return Similarity(block=block, pairs=pairs)


def mean_similarity(several: list[Similarity]) -> Similarity:
    """The ensemble: the mean of what several heads say of a pair."""
    return Similarity(
        block=lambda q, g: torch.stack([one.block(q, g) for one in several]).mean(0),
        pairs=lambda a, b: torch.stack([one.pairs(a, b) for one in several]).mean(0),
    )


def dump_head(trained: TrainedHead) -> dict[str, bytes]:
    """File name -> content. Equal heads give equal bytes."""
    tensors = {f"head.{name}": value for name, value in trained.head.state_dict().items()}
    tensors |= {f"transform.{name}": value for name, value in trained.transform.state_dict().items()}
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
    }
    return {
        "head.safetensors": save({name: value.cpu().contiguous() for name, value in sorted(tensors.items())}),
        "head.json": (json.dumps(about, indent=2, sort_keys=True) + "\n").encode(),
    }


def load_head(folder: Path) -> TrainedHead:
    """Read what `dump_head` wrote.

    Raises:
        HeadError: no head there, a damaged one, or weights that do not fit its settings.
    """
    again = "run `dvc repro --force --single-item train`"
    for name in ("head.json", "head.safetensors"):
        if not (folder / name).exists():
            raise HeadError(f"{folder / name}: no trained head here: run `dvc repro train`")
    try:
        about = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        tensors = load((folder / "head.safetensors").read_bytes())
        settings = HeadSettings.model_validate(about.pop("settings"))
        about["calibration"] = Calibration(**about["calibration"])
        transform = Transform(settings.transform, tensors["transform.mean"], tensors["transform.matrix"])
        width = settings.components or about["width"]
        head = build_head(settings, width, generators(0, settings.seeds), groups=about["groups"])
        head.load_state_dict({k.removeprefix("head."): v for k, v in tensors.items() if k.startswith("head.")})
        return TrainedHead(settings=settings, transform=transform, head=head.eval(), **about)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError, ValidationError) as error:
        raise HeadError(f"{folder}: damaged head ({_brief(error)}): {again}") from None
    except (KeyError, TypeError, RuntimeError) as error:
        raise HeadError(f"{folder}: weights and settings do not fit together ({_brief(error)}): {again}") from None


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
