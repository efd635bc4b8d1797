"""Where everything of a data set lies."""

from pathlib import Path

from pipeline.params import Params


def dataset_folder(params: Params) -> Path:
    return Path("artifacts") / params.data.name


def features_folder(params: Params, name: str) -> Path:
    return dataset_folder(params) / "features" / name


def network_folder(params: Params, name: str) -> Path:
    return dataset_folder(params) / "networks" / name


def head_folder(params: Params) -> Path:
    return dataset_folder(params) / "head"
