"""`studies/<name>.yaml`, checked as a whole before any heavy import."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from data.errors import did_you_mean
from pipeline.errors import ParamError
from pipeline.param_messages import first_problem

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

    @model_validator(mode="after")
    def _named_rows(self) -> "Study":
        names, slugs = [row.name for row in self.rows], [row.slug for row in self.rows]
        for row in self.rows:
            if slugs.count(row.slug) > 1:
                raise ValueError(f"two rows are named '{row.name}', give each a name of its own")
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
        raise ParamError(f"{path}: {_by_name(first_problem(error, Study), raw)}") from None


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


def _by_name(problem: str, raw: Any) -> str:
    """`sections.0.rows.3.compare: ...` -> `row 'CLIP triplet': compare: ...`"""
    place = re.match(r"sections\.(\d+)\.rows\.(\d+)\.?", problem)
    try:
        section, row = map(int, place.groups()) if place else (None, None)
        name = raw["sections"][section]["rows"][row]["name"]
    except (KeyError, IndexError, TypeError):
        return problem
    return f"row '{name}': {problem[place.end() :]}" if place else problem
