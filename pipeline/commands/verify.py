"""`python -m pipeline verify`: do the feature sets that lie there still belong to the images, weights and code?"""

from dataclasses import replace

import numpy as np

from data.tables.rows import read_rows
from features.backbones.local import TRAINED, WEIGHTS
from features.backbones.registry import load_backbone
from features.errors import FeatureError
from features.extraction.extract import extract_rows
from features.extraction.precision import LEAST_COSINE, matching_dtype, provenance_dtype
from features.settings import Backbone
from features.storage.concat import concatenate
from features.storage.features_files import SIDECAR, load_features, read_sidecar
from pipeline.extraction import load_extractor
from pipeline.finetuning import finetune_compute
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder, network_folder

SAMPLE = 32


def run(params: Params) -> None:
    """Check every feature set present: its sidecar, and a sample of its rows made again.

    Raises:
        FeatureError: the first set that is not what params.yaml and the images would make now.
    """
    present = [name for name in params.feature_sets if (features_folder(params, name) / SIDECAR).exists()]
    if not present:
        raise FeatureError(f"no feature set in {features_folder(params, '')}; run dvc repro")
    images = read_rows(dataset_folder(params) / "images.parquet")
    count = min(SAMPLE, len(images))
    rows = np.sort(np.random.default_rng().choice(len(images), count, replace=False))
    for name in present:
        stored = load_features(features_folder(params, name), images_hash=images.images_hash, views=True)
        dtype = "float32"  # of a concatenation: it is made of what is stored, by no forward pass
        if name in params.concatenations:
            again = _fused(params, name, images.images_hash, rows)
        else:
            again = _made_again(params, name, images.id, rows)
            dtype = provenance_dtype(read_sidecar(features_folder(params, name)).provenance)
        check_rows(name, stored[rows], again, images.id[rows], least=LEAST_COSINE[dtype])
        print(f"verify {name}: sidecar, and {count} rows made again, agree")


def check_rows(name: str, stored: np.ndarray, again: np.ndarray, ids: np.ndarray, *, least: float) -> None:
    """(n, V, D) against (n, V, D), by cosine of each view, which is `least` or more.

    Raises:
        FeatureError: naming the worst image.
    """
    if stored.shape != again.shape:
        raise FeatureError(
            f"features/{name}: {stored.shape[1:]} numbers an image, made again {again.shape[1:]}; run dvc repro --force"
        )
    stored, again = stored.astype(np.float64), again.astype(np.float64)
    lengths = np.linalg.norm(stored, axis=2) * np.linalg.norm(again, axis=2)
    cosine = ((stored * again).sum(2) / np.maximum(lengths, 1e-12)).min(1)
    if not cosine.min() >= least:
        worst = int(cosine.argmin())
        raise FeatureError(
            f"features/{name}: image '{ids[worst]}' made again has cosine {cosine[worst]:.4f} to what is stored "
            f"(at least {least} expected); delete it and run dvc repro"
        )


def _made_again(params: Params, name: str, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows' features (n, V, D) by the network of now; a training is not run again.

    Raises:
        FeatureError: the sidecar names other weights or settings than hold now.
    """
    written = read_sidecar(features_folder(params, name)).provenance
    now: dict[str, object]
    if name in params.finetunes:
        weights = str(network_folder(params, name) / WEIGHTS)
        trained = Backbone(library="local", model=TRAINED, weights=weights)
        network, compute = load_backbone(name, trained, section="finetunes"), finetune_compute(params)
        now = {"finetune": params.finetunes[name].model_dump(mode="json"), "seed": params.seed}
        now |= {"weights_sha256": network.weights_sha256}
    else:
        extractor = load_extractor(params, name)
        network = extractor.network
        compute = replace(extractor.compute, dtype=matching_dtype(written, extractor.compute.devices[0]))
        now = {key: extractor.provenance[key] for key in ("backbone", "weights_sha256", "preprocess", "views")}
        if params.features.dtype != "auto":
            now |= {"dtype": params.features.dtype}
    for key, value in now.items():
        if written.get(key) != value:
            raise FeatureError(f"features/{name}: made with another {key} than params.yaml gives now; run dvc repro")
    source = dataset_folder(params) / "images.parquet"
    blocks = extract_rows(source, ids.tolist(), rows, network, compute=compute)
    return np.concatenate([features for _, features in blocks])


def _fused(params: Params, name: str, images_hash: str, rows: np.ndarray) -> np.ndarray:
    entry = params.concatenations[name]
    folders = [features_folder(params, part) for part in entry.features]
    if read_sidecar(features_folder(params, name)).provenance.get("parts") != [
        read_sidecar(f).npy_sha256 for f in folders
    ]:
        raise FeatureError(f"features/{name}: its parts have changed since; run dvc repro")
    parts = [load_features(folder, images_hash=images_hash)[rows] for folder in folders]
    return concatenate(*parts, weights=entry.weights)[:, None]
