"""`python -m pipeline fuse NAME`: two feature sets -> features/NAME/, an entry of `fusions`."""

from data.errors import did_you_mean
from data.tables.rows import read_rows
from features.errors import FeatureError
from features.storage.concat import fuse
from features.storage.features_files import load_features, read_sidecar, save_features
from pipeline.errors import ParamError
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder


def run(params: Params, name: str) -> None:
    """Put the two sets of the fusion `name` side by side and save them with a sidecar that names both."""
    if name not in params.fusions:
        raise ParamError(f"params.yaml: no fusion '{name}' in fusions{did_you_mean(name, params.fusions)}")
    entry = params.fusions[name]
    images_hash = read_rows(dataset_folder(params) / "rows.parquet").images_hash
    folders = [features_folder(params, part) for part in entry.features]
    parts = [load_features(folder, images_hash=images_hash) for folder in folders]
    made_by = {
        "fusion": entry.model_dump(mode="json"),
        "parts": [read_sidecar(folder).npy_sha256 for folder in folders],
    }
    try:
        fused = fuse(*parts, weights=entry.weights)
    except FeatureError as error:
        raise FeatureError(f"fusions.{name}: {error}") from None
    folder = features_folder(params, name)
    save_features(folder, fused, images_hash=images_hash, made_by=made_by)
    print(f"fuse {name}: {' + '.join(entry.features)} -> {folder} {list(fused.shape)}")
