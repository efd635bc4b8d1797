"""A prepared data set, features and a head, small and made up, in the folder that the test runs in."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from seeded_heads import seeded_heads

from data.preparation.duplicates import DHASH_BYTES
from data.preparation.evaluation_lists import draw_candidates, draw_episodes, draw_pairs, draw_triplets
from data.preparation.parquet_writer import open_rows
from data.preparation.rng import generator
from data.tables.protocol import Protocol, write_protocol
from data.tables.rows import Rows
from features.storage.features_files import read_sidecar, save_features
from heads.calibration import Calibration
from heads.models.base import Head
from heads.models.transforms import fit_transform
from heads.settings import HeadSettings
from heads.store import TrainedHead, dump_head
from pipeline.params import Params, parse_params

ROOT = Path(__file__).parents[2]
FOLDER = Path("artifacts/emoji")


def make_params(**scores) -> Params:
    return parse_params(
        {
            "data": {"name": "emoji", "candidates": 5},
            "backbones": {"made_up": {"library": "timm", "model": "none", "weights": "random"}},
            "features": {"backbones": ["made_up"]},
            "head": {"features": "made_up", "model": "linear", "seeds": 2},
            "scores": {"n_bootstrap": 100, "gallery": 3} | scores,
        }
    )


def pair_rows() -> Rows:
    """60 pairs: 30 train, 10 val, 20 test."""
    group = np.array([f"p{i // 2:02}" for i in range(120)], dtype=object)
    split = np.repeat(np.array(["train", "val", "test"], dtype=object), [60, 20, 40])
    return _rows(group, np.array(["left", "right"] * 60, dtype=object), split)


def class_rows() -> Rows:
    """10 classes of 12 images: six are seen (8 train, 2 val, 2 test images each... and four only tested)."""
    group = np.array([f"c{i // 12}" for i in range(120)], dtype=object)
    seen = np.array(["train"] * 5 + ["val"] * 3 + ["test"] * 4, dtype=object)
    split = np.concatenate([np.tile(seen, 6), np.repeat(np.array(["test"], dtype=object), 48)])
    return _rows(group, np.array([""] * 120, dtype=object), split)


def make_run(
    rows: Rows,
    *,
    noise: float = 1.0,
    head_noise: float = 0.3,
    seed: int = 0,
    families: list[str] | None = None,
    **head_settings: Any,
) -> None:
    """Write rows.parquet, protocol.json, features/made_up and head/. Features are a group's direction plus noise.

    `families`: what is not independent; without them each group is by itself. The head knows which directions are
    noise, but for those of `head_settings`, which stay as they start.
    """
    rng = np.random.default_rng(seed)
    FOLDER.mkdir(parents=True, exist_ok=True)
    dhashes = [
        row.tobytes() for row in np.random.default_rng(1).integers(256, size=(len(rows), DHASH_BYTES), dtype=np.uint8)
    ]
    with open_rows(
        FOLDER / "rows.parquet", rows, picture="thumb", families=families or list(rows.group), dhashes=dhashes
    ) as writer:
        for code in rows.labels:
            stream = io.BytesIO()
            Image.new("RGB", (24, 16), (int(4 * code), 90, 160)).save(stream, "JPEG")
            writer.append(stream.getvalue())
    protocol = make_protocol(rows)
    write_protocol(protocol, FOLDER / "protocol.json")
    centres = np.random.default_rng(9).normal(size=(rows.labels.max() + 1, 16))
    features = centres[rows.labels] + noise * rng.normal(size=(len(rows), 16)) * np.linspace(0.2, 2, 16)
    save_features(FOLDER / "features/made_up", features.astype(np.float16), images_hash=rows.images_hash, provenance={})
    settings = HeadSettings.model_validate(make_params().head.model_dump() | head_settings)
    heads = seeded_heads(settings, 16, seed=seed, train=torch.zeros(4, 16))
    if settings.model == "linear":
        with torch.no_grad():
            for s in range(2):
                weights = torch.diag(torch.from_numpy(1 / np.linspace(0.2, 2, 16))).float()
                noisy = (weights + head_noise * torch.from_numpy(rng.normal(size=(16, 16))).float()).T
                heads[s].project.weight.copy_(noisy[: len(heads[s].project.weight)])
    save_head(settings, heads, rows, protocol)
    (FOLDER / "head/history.csv").write_text(
        "seed,epoch,loss,val_top2\n0,0,nan,0.5\n0,1,0.2,0.6\n1,0,nan,0.5\n1,1,0.3,0.7\n"
    )


def make_protocol(rows: Rows) -> Protocol:
    test = rows.split == "test"
    masks = {"val": rows.split == "val"}
    masks |= {"test": test} if rows.has_roles else {"test_seen": test & rows.seen, "test_unseen": test & ~rows.seen}
    parts = {name: np.flatnonzero(mask) for name, mask in masks.items()}
    tests = [part for name, part in parts.items() if name != "val"]
    pairs, triplets, episodes = {}, {}, {}
    for name, part in parts.items():
        pairs[name] = draw_pairs(rows, part, count=40, rng=generator(0, name))
        triplets[name] = draw_triplets(rows, part, count=50, rng=generator(1, name))
        way = None if rows.has_roles else 3
        found = draw_episodes(rows, part, count=20, way=way, shot=1, queries=1, rng=generator(2, name))
        episodes |= {name: found} if found else {}
    return Protocol(
        dataset="emoji",
        source="made up",
        licence="nobody's",
        seed=0,
        group_level="group",
        rows=rows.hash,
        counts=make_counts(rows),
        candidates=draw_candidates(rows, tests, size=5, rng=generator(3, "lists")),
        pairs=pairs,
        triplets=triplets,
        episodes=episodes,
    )


def make_counts(rows: Rows) -> dict:
    sides = {name: rows.split == name for name in ("train", "val", "test")}
    splits = {name: {"images": int(of.sum()), "groups": len(set(rows.group[of]))} for name, of in sides.items()}
    return {"images": len(rows), "groups": len(set(rows.group)), "splits": splits, "rejected": {}}


def save_head(
    settings: HeadSettings, heads: list[Head], rows: Rows, protocol: Protocol, *, folder: Path = FOLDER / "head"
) -> None:
    trained = TrainedHead(
        settings=settings,
        width=16,
        groups=2,
        transform=fit_transform("l2", torch.zeros(4, 16)),
        heads=heads,
        thresholds=[0.4] if settings.ensemble else [0.4, 0.5],
        calibration=Calibration(threshold=0.45, slope=8.0, intercept=-3.6),
        best_epochs=[1, 1],
        features_sha256=read_sidecar(FOLDER / "features/made_up").npy_sha256,
        images_hash=rows.images_hash,
        protocol_sha256=protocol.sha256,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in dump_head(trained).items():
        (folder / name).write_bytes(content)


def _rows(group: np.ndarray, role: np.ndarray, split: np.ndarray) -> Rows:
    trained = set(group[split == "train"])
    ids = [f"{g}/{i:03}" for i, g in enumerate(group)]
    return Rows(
        id=np.array(ids, dtype=object),
        group=group,
        role=role,
        split=split,
        seen=np.array([g in trained for g in group]),
        sha256=np.array([f"{i:064x}" for i in range(len(group))], dtype=object),
    )
