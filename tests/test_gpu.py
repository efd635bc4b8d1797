"""What only a GPU runs, against the CPU: `python -m pipeline bench gpu tests`. Each skips itself without one.

Imports nothing that a CUDA machine may lack: see pipeline/commands/bench_gpu.py.
"""

import numpy as np
import pytest
import torch
from grouped_images import write_groups
from small_images import encode, write_images
from torch import Tensor, nn

from data.images.decode import decode
from data.tables.rows import read_rows
from features.backbones.preprocess import Preprocess
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.extraction.encode import Encoder
from features.extraction.extract import extract_rows
from features.extraction.precision import LEAST_COSINE
from features.extraction.replicas import Compute
from features.finetuning.pixels import load_pixels
from features.finetuning.settings import Finetune
from features.finetuning.train import TrainingInputs, train_network
from features.settings import Backbone
from heads.metrics.ranking import rank_queries
from heads.reranking.registry import rerank
from heads.scoring import evaluate
from heads.similarity import embedding_similarity
from heads.store import dump_head
from heads.training.arrays import train_head
from heads.training.samplers import make_training_set
from heads.training.selection import epoch_score

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
SAME_HEAD, SAME_SCORE = 0.999, 0.002  # cosine of embeddings, and a score: docs/reliability.md
ENTRIES = {
    "residual": Backbone(library="torchvision", model="resnet18", weights="random", pixels=64),
    "depthwise": Backbone(library="timm", model="tf_efficientnet_lite0", weights="random", pixels=64),
    "transformer": Backbone(library="timm", model="vit_tiny_patch16_224", weights="random"),
    "attention pooling": Backbone(library="timm", model="resnet50_clip", weights="random"),
    "stages": Backbone(
        library="torchvision",
        model="resnet18",
        weights="random",
        pixels=64,
        output="grid",
        stages=(1, 3),
        std_pool=True,
    ),
    "views": Backbone(library="local", model="conv4", weights="random", flip=True, crops=2, average=True),
}


def on(device: torch.device, dtype: torch.dtype = torch.float32, **more) -> Compute:
    return Compute(devices=(device,), dtype=dtype, **{"batch": 4, "workers": 1} | more)


def features(source, network, compute: Compute) -> Tensor:
    ids = read_rows(source).id
    blocks = [half for _, half in extract_rows(source, ids, np.arange(len(ids)), network, compute=compute)]
    return torch.from_numpy(np.concatenate(blocks)[:, 0]).float()


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images.parquet", [encode(seed) for seed in range(11)])


@pytest.mark.parametrize("name", ENTRIES)
def test_features_are_those_of_the_cpu(images, name):
    network = load_backbone(name, ENTRIES[name])
    expected = features(images, network, on(CPU))
    for dtype, least in LEAST_COSINE.items():
        found = features(images, network, on(GPU, getattr(torch, dtype)))
        assert torch.cosine_similarity(expected, found).min() >= least, dtype


def test_float32_has_all_its_bits(images):
    network = load_backbone("residual", ENTRIES["residual"])
    expected, found = features(images, network, on(CPU)), features(images, network, on(GPU))
    assert (expected - found).abs().max() <= 2e-3 * expected.abs().max()  # stored as float16


def test_a_query_has_the_features_that_extraction_stores(images):
    network = load_backbone("residual", ENTRIES["residual"])
    encoder = Encoder(network, device=GPU, dtype=torch.float16)
    found = encoder([decode(encode(seed)) for seed in range(11)])
    expected = features(images, network, on(GPU, torch.float16))
    assert torch.cosine_similarity(torch.from_numpy(found).float(), expected).min() >= 0.9999


def test_all_cards_give_what_one_gives(images):
    network = load_backbone("residual", ENTRIES["residual"])
    cards = tuple(torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    together = Compute(devices=cards, dtype=torch.float16, batch=2, workers=2)
    assert torch.equal(features(images, network, together), features(images, network, on(GPU, torch.float16, batch=2)))


def test_too_little_memory_is_one_line(images):
    network = load_backbone("depthwise", ENTRIES["depthwise"].model_copy(update={"pixels": 512}))
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.raises(FeatureError, match=r"do not fit into the GPU's memory: .*features\.batch to 8"):
            features(images, network, on(GPU, batch=16))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


LABELS = np.repeat(np.arange(40), 6)


def grouped_rows() -> Tensor:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(40, 32))[LABELS]
    return torch.from_numpy((signal + 1.5 * rng.normal(size=(len(LABELS), 32))).astype(np.float32))


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "triplet", "negatives": "semihard"},
        {"loss": "contrastive", "distance": "euclidean"},
        {"loss": "infonce", "noise": 0.1},
        {"loss": "supcon", "model": "mlp", "hidden": [16]},
        {"loss": "cross_entropy", "transform": "whiten"},
        {"loss": "bce", "model": "pair_mlp"},
        {"loss": "triplet", "negatives": "offline:4"},
    ],
    ids=lambda settings: ", ".join(map(str, settings.values())),
)
def test_heads_are_those_of_the_cpu_and_the_same_twice(settings):
    rows, settings = grouped_rows(), {"epochs": 3, "batch": 64, "seeds": 2, **settings}
    expected, found, again = (train_head(rows.to(device), LABELS, settings) for device in (CPU, GPU, GPU))
    assert dump_head(found) == dump_head(again)
    there = found.embeddings(rows.to(GPU)).cpu()
    here = expected.embeddings(rows)
    assert torch.cosine_similarity(here, there, dim=2).min() >= SAME_HEAD
    scores = [evaluate(rows.to(device), LABELS, head=head) for device, head in ((CPU, expected), (GPU, found))]
    for name in ("top2", "recall_at_1", "auc"):
        assert abs(scores[0][name].head - scores[1][name].head) <= SAME_SCORE, name


@pytest.mark.parametrize("positives", [1, 9])  # counted, sorted
def test_ranks_are_those_of_the_cpu(positives):
    embeddings = torch.randn(2000, 64, generator=torch.Generator().manual_seed(0))
    labels, rows = np.arange(2000) // (positives + 1), np.arange(2000)
    here, there = (
        rank_queries(embedding_similarity(embeddings.to(device)), labels, queries=rows, gallery=rows)
        for device in (CPU, GPU)
    )
    assert np.mean(here.positive == there.positive) > 0.999
    assert np.abs(here.higher - there.higher).max() <= 2


@pytest.mark.parametrize("method", ["csls", "query_expansion", "one_to_one", "k_reciprocal"])
def test_reranking_is_that_of_the_cpu(method):
    if method == "k_reciprocal":
        pytest.importorskip("scipy")
    rows = grouped_rows()
    queries, gallery = np.arange(0, len(rows), 2), np.arange(1, len(rows), 2)
    scores = []
    for device in (CPU, GPU):
        corrected = rerank(method, embedding_similarity(rows.to(device)), queries=queries, gallery=gallery)
        scores.append(corrected.block(torch.from_numpy(queries), torch.from_numpy(gallery)).cpu())
    torch.testing.assert_close(*scores, rtol=1e-3, atol=1e-3)


class Killed(Exception):
    pass


def test_a_channels_last_network_resumes_with_the_same_bytes(tmp_path):
    side, source = 16, write_groups(tmp_path / "images.parquet", side=16)
    rows = read_rows(source)
    train, val = rows.where(split="train"), rows.where(split="val")
    preprocess = Preprocess(size=side, resize=side)
    network_entry = {"library": "local", "model": "conv4", "weights": "random"}
    entry = Finetune.model_validate(
        {"network": network_entry, "epochs": 3, "batch": 12, "lr": 0.01, "loss": "infonce", "select": "top1"}
        | {"augment": {"shift": 0.1, "flip": True, "rotate": 10}}
    )

    def trained(name: str, report=lambda batches, loss: None) -> dict[str, bytes]:
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        network = nn.Sequential(*layers).to(GPU, memory_format=torch.channels_last)
        pixels = load_pixels(
            source,
            np.union1d(train, val),
            total=len(rows),
            preprocess=preprocess,
            cache=tmp_path / "cache",
            key="gpu",
            workers=0,
            device=GPU,
        )
        chosen = make_training_set(train, rows.labels[train], None, images=entry.images_per_group)

        def validator(settings):
            inputs = torch.arange(len(rows), device=GPU)[:, None]
            return epoch_score(inputs, rows.labels, settings, queries=val, gallery=val, candidates=20)

        inputs = TrainingInputs(network, preprocess, pixels, chosen, [], True)
        train_network(inputs, entry, seed=0, validator=validator, checkpoint=tmp_path / name, report=report)
        return {name: value.cpu().numpy().tobytes() for name, value in network.state_dict().items()}

    calls = 0

    def kill(batches: int, loss: float) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise Killed

    whole = trained("whole.safetensors")
    with pytest.raises(Killed):
        trained("killed.safetensors", kill)
    assert trained("killed.safetensors") == whole
