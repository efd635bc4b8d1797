"""A trained head as two files: `head.safetensors` (weights; never pickle) and `head.json` (what they mean)."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Generator, Tensor, nn

from heads.calibration import Calibration
from heads.errors import HeadError
from heads.models.base import Head
from heads.models.registry import build_head
from heads.models.transforms import Transform
from heads.settings import HeadSettings
from heads.similarity import Similarity, embedding_similarity

CHUNK = 65_536  # rows encoded at once


@dataclass(frozen=True)
class TrainedHead:
    """S heads ready to use, one per seed, the transform before them, and what they were trained on."""

    settings: HeadSettings
    width: int  # D, of the features
    groups: int  # of training
    transform: Transform
    heads: list[Head]  # (S,)
    thresholds: list[float]  # (S,), or (1,) of an ensemble: alike from this similarity on; chosen on val
    calibration: Calibration  # of the mean of the seeds, which is how a head is used
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
        """One similarity per seed, over the rows of `features` (N, D); one in all for an ensemble."""
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
    """The similarity of the rows of `embeddings` (N, E), which `head` gave."""
    if head.embeds:
        # A distance and its square rank alike; scores and thresholds are of the distance itself.
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
        heads = [build_head(settings, width, Generator(), groups=about["groups"]) for _ in range(settings.seeds)]
        weights = {k.removeprefix("head."): v for k, v in tensors.items() if k.startswith("head.")}
        nn.ModuleList(heads).load_state_dict(weights)
        return TrainedHead(settings=settings, transform=transform, heads=[head.eval() for head in heads], **about)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError, ValidationError) as error:
        raise HeadError(f"{folder}: damaged head ({_brief(error)}): {again}") from None
    except (KeyError, TypeError, RuntimeError) as error:
        raise HeadError(f"{folder}: weights and settings do not fit together ({_brief(error)}): {again}") from None


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
