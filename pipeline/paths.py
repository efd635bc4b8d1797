"""Where everything of a data set lies; DVC's outs, which git ignores."""

from pathlib import Path

from pipeline.params import Params

ARTIFACTS = Path("artifacts")


def dataset_folder(dataset: Params | str) -> Path:
    """artifacts/<data.name>."""
    return ARTIFACTS / (dataset if isinstance(dataset, str) else dataset.data.name)


def features_folder(params: Params, name: str) -> Path:
    return dataset_folder(params) / "features" / name


def network_folder(params: Params, name: str) -> Path:
    return dataset_folder(params) / "networks" / name


def head_folder(params: Params) -> Path:
    return dataset_folder(params) / "head"
