"""Does a feature set come from the entry of params.yaml that bears its name?"""

from pydantic import BaseModel, ValidationError

from features.errors import FeatureError
from features.storage.features_files import read_sidecar
from pipeline.params import Params
from pipeline.paths import features_folder


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
    told = entries.keys() & provenance.keys()
    for kind, entry in entries.items():
        if entry is not None and told and (kind not in told or not _is(entry, provenance[kind])):
            raise FeatureError(f"{folder}: made with another {kind} than '{name}' of params.yaml; run `dvc repro`")


def _is(entry: BaseModel, written: object) -> bool:
    try:
        return type(entry).model_validate(written) == entry
    except ValidationError:  # of a version with other keys
        return False
