"""`studies/<name>.yaml`, checked as a whole before any heavy import."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML, YAMLError

from data.errors import did_you_mean
from pipeline.errors import ParamError

FOLDER = Path("studies")
Settings = dict[str, Any]  # dotted keys of params.yaml -> values: `head.loss: triplet`


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Compare(Strict):
    """One of a row's figures, beside the published one."""

    # `<subset>/<score>` of scores/table.csv (test/top2, seen/balanced_accuracy), or a dotted key of metrics.json
    metric: str
    published: float | None = None  # as a share (0.828), or a loss
    published_as: str = ""  # what a reader must know of the published figure
    same_protocol: bool = True  # false: the figure stands beside ours for orientation, and no verdict is given

    @property
    def lower_is_better(self) -> bool:
        return self.metric.endswith(("loss", "eer"))


class Point(Strict):
    """Where a row lies on the study's curve."""

    series: str  # rows of one series are joined by a line
    x: float
    with_baseline: bool = False  # also a line for the baseline of its features


class Curve(Strict):
    """Scores of several rows against one number, as a chart."""

    title: str
    x: str  # label
    metrics: tuple[str, ...] = Field(min_length=1)


class Row(Strict):
    name: str = Field(min_length=1)
    about: str = ""
    set: Settings = {}  # on top of the study's
    compare: tuple[Compare, ...] = Field(min_length=1)
    against: str | None = None  # a row on the same queries: the paired difference is given as well
    folds: int | None = Field(None, ge=2, le=20)  # run every fold, and score all their test queries together
    gpu: str | None = None  # needs one; the time that it would take without: `about 9 hours on 2 cores`
    point: Point | None = None  # on the study's curve

    @property
    def slug(self) -> str:
        """The name in an experiment's name and in file names."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


class Section(Strict):
    title: str
    note: str = ""
    rows: tuple[Row, ...] = Field(min_length=1)


class Study(Strict):
    title: str
    link: str | None = None
    protocol: tuple[str, ...] = ()  # what is ambiguous in the report, what is done here instead, and why
    set: Settings = {}
    curve: Curve | None = None
    roc: tuple[str, ...] = ()  # rows whose ROC is drawn
    headline: tuple[str, ...] = ()  # rows that docs/results.md shows
    picture: Path | None = None  # of docs/results.md
    sections: tuple[Section, ...] = Field(min_length=1)

    @property
    def rows(self) -> list[Row]:
        return [row for section in self.sections for row in section.rows]

    @field_validator("sections")
    @classmethod
    def _names(cls, sections: tuple[Section, ...]) -> tuple[Section, ...]:
        rows = [row for section in sections for row in section.rows]
        for row in rows:
            if [other.slug for other in rows].count(row.slug) > 1:
                raise ValueError(f"two rows are named '{row.name}', give each a name of its own")
        return sections

    @model_validator(mode="after")
    def _named_rows(self) -> "Study":
        names = [row.name for row in self.rows]
        for key, listed in (("headline", self.headline), ("roc", self.roc)):
            for name in listed:
                if name not in names:
                    raise ValueError(f"{key}: no row '{name}'{did_you_mean(name, names)}")
        for row in self.rows:
            if row.against is not None and row.against not in names:
                raise ValueError(
                    f"row '{row.name}' is against '{row.against}', which is no row{did_you_mean(row.against, names)}"
                )
        return self


def known_studies(folder: Path = FOLDER) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_study(name: str, *, folder: Path = FOLDER) -> Study:
    """
    Raises:
        ParamError: no such study, or one line naming the key of its file that is wrong.
    """
    path = folder / f"{name}.yaml"
    if name not in known_studies(folder):
        raise ParamError(f"no study '{name}'{did_you_mean(name, known_studies(folder))}")
    try:
        # In Python, which takes `{negatives: random:1}` as YAML 1.2 does; libyaml does not.
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParamError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        raise ParamError(f"{path}: {_first(error, raw)}") from None


def pick_rows(study: Study, names: Iterable[str]) -> list[Row]:
    """The named rows in the study's order; none: all. A name is a row's name or slug, or several with commas between.

    Raises:
        ParamError: a name that is no row.
    """
    by_name = {row.slug: row for row in study.rows} | {row.name: row for row in study.rows}
    wanted = []
    for name in names:
        for part in [name] if name in by_name else name.split(","):
            if part.strip() not in by_name:
                raise ParamError(
                    f"no row '{part.strip()}'{did_you_mean(part.strip(), [row.slug for row in study.rows])}"
                )
            wanted.append(by_name[part.strip()])
    return [row for row in study.rows if row in wanted] if wanted else study.rows


def _first(error: ValidationError, raw: Any) -> str:
    """The first thing that is wrong, in one line; a row is called by its name, an unknown key by its nearest one."""
    problem = error.errors(include_url=False)[0]
    location, where = list(problem["loc"]), raw  # where: what the file holds at the location, None beyond it
    words: list[str] = []
    kind: type[BaseModel] = Study
    for part in location:
        try:
            where = None if where is None else where[part]
        except (KeyError, IndexError, TypeError):
            where = None
        kind = {"sections": Section, "rows": Row, "compare": Compare, "point": Point, "curve": Curve}.get(
            str(part), kind
        )
        if isinstance(part, int) and isinstance(where, dict) and "name" in where:
            words = [f"row '{where['name']}'"]
        else:
            words.append(str(part))
    key = ": ".join([words[0], ".".join(words[1:])]) if words and words[0].startswith("row ") else ".".join(words)
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: no such key{did_you_mean(str(location[-1]), kind.model_fields)}"
        case "value_error":
            return problem["msg"].removeprefix("Value error, ")
        case "missing":
            return f"{key}: missing"
        case _:
            return f"{key or 'the whole file'}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
