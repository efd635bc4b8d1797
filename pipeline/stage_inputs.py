"""Are the files that a stage reads those that params.yaml asks for? Images, feature sets by their entry, the head.

A check of the command line, which reads all of params.yaml; the stages themselves read their own sections. DVC computes
features and heads again when their params change: the check finds folders that were exchanged, and stages run by hand.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from data.errors import PREPARE_AGAIN, DataError
from data.tables.rows import read_rows
from features.errors import FeatureError
from features.storage.features_files import SIDECAR, read_sidecar
from heads.errors import HeadError
from heads.head_json import ABOUT, parse_head_json
from heads.settings import HeadSettings
from pipeline.params import Params
from pipeline.paths import dataset_folder, features_folder, head_folder


def check_inputs(params: Params, stage: str, name: str = "") -> None:
    """`check_origin` of the feature sets that `stage` reads and that are there; `name` is the stage's argument.

    Also `check_images` of stages that read images, and `check_head` of `evaluate`.
    """
    if stage in ("extract", "finetune"):
        check_images(params)
    for each in feature_inputs(params, stage, name):
        if (features_folder(params, each) / SIDECAR).exists():
            check_origin(params, each)
    if stage == "evaluate":
        check_head(params)


def feature_inputs(params: Params, stage: str, name: str = "") -> Sequence[str]:
    """Names of the feature sets that `stage` reads."""
    if stage == "concat" and name in params.concatenations:
        return params.concatenations[name].features
    return [params.head.features] if stage in ("train", "evaluate") else []


def check_origin(params: Params, name: str) -> None:
    """
    Raises:
        FeatureError: the sidecar of features/`name` names another backbone, finetune or concatenation than params.yaml
            has under that name: folders were exchanged, or params.yaml was edited since.
    """
    folder = features_folder(params, name)
    provenance = read_sidecar(folder).provenance
    entries: dict[str, BaseModel | None] = {
        "backbone": params.backbones.get(name),
        "finetune": params.finetunes.get(name),
        "concatenation": params.concatenations.get(name),
    }
    recorded = entries.keys() & provenance.keys()
    for kind, entry in entries.items():
        if entry is not None and recorded and (kind not in recorded or not _is(entry, provenance[kind])):
            raise FeatureError(
                f"{folder}: made with another {kind} than '{name}' of params.yaml; with data.name {params.data.name}, "
                "run `dvc repro`"
            )


def check_images(params: Params) -> None:
    """
    Raises:
        DataError: images.parquet holds other images, groups or splits than rows.parquet; or one of them is damaged.
    """
    rows, images = (dataset_folder(params) / name for name in ("rows.parquet", "images.parquet"))
    if rows.exists() and read_rows(images).hash != read_rows(rows).hash:
        raise DataError(f"{images}: other images, groups or splits than in rows.parquet; {PREPARE_AGAIN}")


def check_head(params: Params) -> None:
    """
    Raises:
        HeadError: the head that is there has other settings than params.yaml.
    """
    folder = head_folder(params)
    try:
        settings = parse_head_json((folder / ABOUT).read_bytes()).settings
    except (OSError, KeyError, ValueError):  # whoever loads it says so
        return
    for key in HeadSettings.model_fields:
        if getattr(settings, key) != getattr(params.head, key):
            raise HeadError(f"{folder}: trained with another head.{key} than params.yaml gives; run `dvc repro train`")


def _is(entry: BaseModel, written: object) -> bool:
    try:
        return type(entry).model_validate(written) == entry
    except ValidationError:  # of a version with other keys
        return False
