import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from seeded_heads import seeded_head, seeded_heads

from heads.settings import HeadSettings
from heads.store import head_similarity, mean_similarity, similarities

ROOT = Path(__file__).parents[3]
WIDTH = 6


def settings(model: str, **changes) -> HeadSettings:
    return HeadSettings(**{"features": "x", "model": model, "loss": "bce", "seeds": 1, **changes})


def head_of(model: str, **changes):
    return seeded_heads(settings(model, **changes), WIDTH, std=0.3)[0]


CASES = [
    ("pair_bc", {}),
    ("pair_bc", {"classifier": (5,)}),
    ("pair_mlp", {}),
    ("pair_mlp", {"classifier": (5, 4)}),
    ("pair_mlp", {"hidden": (7,), "dim": 4, "classifier": (5,)}),
    ("distance_logit", {"dim": 4}),
]


def loop_logit(head, model: str, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """One pair, from the weights, on the concatenation of both."""
    a, b = head(torch.stack([a, b]))
    if model == "distance_logit":
        d = torch.linalg.vector_norm(a - b)
        return head.gain * (d - head.mean) / (head.variance + 1e-5).sqrt() + head.bias
    x = head.first(torch.cat([a, b]))
    for layer in head.rest:
        x = layer(x.relu())
    return x.relu()[0] if model == "pair_bc" else x[0]


@pytest.mark.parametrize("model, changes", CASES)
@torch.no_grad()
def test_pairwise_elementwise_and_similarity_equal_a_loop_over_pairs(model, changes):
    head, x = head_of(model, **changes), torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(2))
    embeddings, rows = head(x), torch.arange(5)
    loop = torch.stack([torch.stack([loop_logit(head, model, a, b) for b in x]) for a in x])
    for found in (
        head.pairwise(embeddings, embeddings),
        head.elementwise(embeddings[:, None], embeddings[None]),
        head_similarity(head, embeddings).block(rows, rows),
    ):
        torch.testing.assert_close(found, loop, atol=1e-5, rtol=1e-4)
    pairs = head_similarity(head, embeddings).pairs(rows, rows.flip(0))
    torch.testing.assert_close(pairs, loop.flip(1).diagonal(), atol=1e-5, rtol=1e-4)


def test_chunks_equal_the_whole(monkeypatch):
    head, x = head_of("pair_mlp", classifier=(5,)), torch.randn(9, WIDTH)
    whole = head.pairwise(x, x)
    monkeypatch.setattr("heads.models.pair_heads.PAIRS_AT_ONCE", 100)
    with torch.no_grad():
        torch.testing.assert_close(head.pairwise(x, x), whole)


SCRIPT = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import torch
from heads.models.registry import build_head
from heads.settings import HeadSettings

settings = HeadSettings(features="", model="pair_mlp", classifier=(256,), loss="bce")
head, x = build_head(settings, 64, torch.Generator()), torch.rand(1500, 64)
# Not ru_maxrss, which is at least that of the process that started this one.
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])  # KB

@torch.no_grad()
def growth():
    head.pairwise(x[:200], x)
    before = peak()
    head.pairwise(x, x)
    return (peak() - before) / 1024

print(ThreadPoolExecutor(1).submit(growth).result())  # as seeds train; the main thread's memory has fewer gaps
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_pairs_take_little_more_memory_than_few():
    """1,500 rows with themselves: the result takes 9 MB and a hidden layer 16, a few of which are alive at once."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert float(done.stdout) < 100


def test_pair_bc_never_gives_less_than_one_half():
    head, x = head_of("pair_bc"), torch.randn(20, WIDTH)
    assert (torch.sigmoid(head.pairwise(x, x)) >= 0.5).all()


def test_distance_logit_starts_with_near_as_similar_and_normalises_in_training():
    head = seeded_head(settings("distance_logit"), WIDTH).train()
    embeddings = head(torch.randn(20, WIDTH))
    logits = head.pairwise(embeddings, embeddings)
    torch.testing.assert_close(logits.mean(), torch.zeros(()), atol=1e-4, rtol=0)
    assert (logits.diagonal() > logits.mean()).all()
    assert head.mean != 0  # running statistics follow


def test_ensemble_is_the_mean():
    heads, rows = seeded_heads(settings("pair_mlp", seeds=3), WIDTH, std=0.3), torch.arange(4)
    x = torch.randn(4, WIDTH)
    several = similarities(heads, torch.stack([head(x) for head in heads]))
    mean = torch.stack([one.block(rows, rows) for one in several]).mean(0)
    torch.testing.assert_close(mean_similarity(several).block(rows, rows), mean)
    (together,) = similarities(heads, torch.stack([head(x) for head in heads]), ensemble=True)
    torch.testing.assert_close(together.block(rows, rows), mean)
