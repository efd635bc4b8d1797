"""params.yaml, read in one place and checked as a whole before any heavy import."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML, YAMLError

from data.errors import did_you_mean
from data.settings import DataSettings
from features.finetuning.settings import Finetune
from features.settings import Backbone, Concatenation, FeatureSettings
from heads.settings import HeadSettings, ScoreSettings
from pipeline.errors import ParamError
from pipeline.param_messages import first_problem, old_name

# A name is a part of DVC's stages, of keys of params.yaml and of folders.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int = Field(0, ge=0, lt=2**32)
    data: DataSettings
    backbones: dict[Name, Backbone]
    features: FeatureSettings
    concatenations: dict[Name, Concatenation] = {}
    finetunes: dict[Name, Finetune] = {}
    head: HeadSettings
    scores: ScoreSettings = ScoreSettings.model_validate({})

    @property
    def feature_sets(self) -> list[str]:
        """Names under artifacts/<dataset>/features/ that the pipeline makes."""
        return [*self.features.backbones, *self.finetunes, *self.concatenations]


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check `path`.

    Raises:
        ParamError: one line naming the key, what is wrong with it, and the nearest valid spelling.
    """
    try:
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamError(f"{path}: not here; run from the project's top folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        # DVC and we read it with libyaml, which takes no `{negatives: random:1}`.
        quote = '; within {} and [] quote values with a colon: "random:1"' if "unexpected ':'" in str(error) else ""
        raise ParamError(f"{path}: not valid YAML: {' '.join(str(error).split())}{quote}") from None
    return parse_params(raw, where=path.name)


def parse_params(raw: Any, *, where: str = "params.yaml") -> Params:
    if renamed := old_name(raw):
        raise ParamError(f"{where}: {renamed}")
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise ParamError(f"{where}: {first_problem(error, Params)}") from None
    _check_names(params, where)
    return params


def _check_names(params: Params, where: str) -> None:
    for name in params.features.backbones:
        if name not in params.backbones:
            raise ParamError(
                f"{where}: features.backbones: no backbone '{name}' in backbones{did_you_mean(name, params.backbones)}"
            )
    for section, named in (("concatenations", params.concatenations), ("finetunes", params.finetunes)):
        for name in named:
            if name in params.backbones:
                kind = section.removesuffix("s")
                raise ParamError(f"{where}: {section}: '{name}' is a backbone; give the {kind} a name of its own")
    for name in params.finetunes:
        if name in params.concatenations:
            raise ParamError(f"{where}: finetunes: '{name}' is a concatenation; give the finetune a name of its own")
    known = [*params.features.backbones, *params.finetunes]
    for name, concatenation in params.concatenations.items():
        for part in concatenation.features:
            if part not in known:
                listed = "; add it to features.backbones" if part in params.backbones else ""
                raise ParamError(
                    f"{where}: concatenations.{name}.features: no feature set '{part}'{listed}"
                    f"{did_you_mean(part, known)}"
                )
    if params.head.features not in params.feature_sets:
        listed = "; add it to features.backbones" if params.head.features in params.backbones else ""
        raise ParamError(
            f"{where}: head.features: no feature set '{params.head.features}'{listed}"
            f"{did_you_mean(params.head.features, params.feature_sets)}"
        )
