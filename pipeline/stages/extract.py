"""`python -m pipeline extract NAME`: images.parquet -> features/NAME/."""

from functools import partial

from features.extraction.extract import extract_shards
from features.extraction.ray_engine import extract_shards_with_ray
from features.freed_memory import keep_freed_memory
from pipeline.extraction import extraction_fingerprint, load_extractor, write_features
from pipeline.params import Params


def run(params: Params, name: str) -> None:
    """Turn every image into a vector with the backbone `name` and save them with their sidecar."""
    keep_freed_memory()
    extractor = load_extractor(params, name)
    entry = params.backbones[name]
    if params.features.engine == "ray":
        engine = partial(extract_shards_with_ray, name=name, entry=entry)
    else:
        engine = partial(extract_shards, network=extractor.network)
    result = write_features(params, name, extractor, code=extraction_fingerprint(entry.library), engine=engine)
    devices, shape = extractor.compute.devices, list(result.shape)
    speed = "all of them known"
    if result.computed:
        speed = f"{result.computed / result.seconds:.0f} images/s on {len(devices)} {devices[0].type}"
    print(f"extract {name}: {shape[0]} images, {result.computed} run, {speed} -> {result.folder} {shape}")
