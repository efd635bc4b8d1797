"""`python -m pipeline concat NAME`: two feature sets side by side -> features/NAME/, an entry of `concatenations`."""

from data.errors import did_you_mean
from data.tables.rows import read_rows
from features.errors import FeatureError
from features.storage.concat import concatenate
from features.storage.features_files import load_features, read_sidecar, save_features
from pipeline.errors import ParamError
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder


def run(params: Params, name: str) -> None:
    """Put the two sets of the concatenation `name` side by side and save them with a sidecar that names both."""
    known = params.concatenations
    if name not in known:
        raise ParamError(f"params.yaml: no concatenation '{name}' in concatenations{did_you_mean(name, known)}")
    entry = known[name]
    images_hash = read_rows(dataset_folder(params) / "rows.parquet").images_hash
    folders = [features_folder(params, part) for part in entry.features]
    parts = [load_features(folder, images_hash=images_hash) for folder in folders]
    provenance = {
        "concatenation": entry.model_dump(mode="json"),
        "parts": [read_sidecar(folder).npy_sha256 for folder in folders],
    }
    try:
        joined = concatenate(*parts, weights=entry.weights)
    except FeatureError as error:
        raise FeatureError(f"concatenations.{name}: {error}") from None
    folder = features_folder(params, name)
    save_features(folder, joined, images_hash=images_hash, provenance=provenance)
    print(f"concat {name}: {' + '.join(entry.features)} -> {folder} {list(joined.shape)}")
