"""Heavy libraries are imported by what needs them alone: the command line answers at once, heads train without them."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.tables.rows import COLUMNS

TOP = Path(__file__).parents[2]
EXTRACTION = ("open_clip", "timm", "torchvision")


def loaded(code: str, names: tuple[str, ...]) -> list[str]:
    code += f"\nimport sys; print(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


HELP = """
import sys
from pipeline.cli.app import app
try:
    app(["--help"])
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (HELP, ("torch", *EXTRACTION)),
        ("import pipeline", ("torch", "numpy", *EXTRACTION)),
        ("from data.images.open_images import open_images", ("torch", *EXTRACTION)),
        ("from pipeline.params import load_params; load_params()", ("torch", *EXTRACTION)),
        ("import pipeline.stages.prepare", ("torch", *EXTRACTION)),
        ("import pipeline.stage_inputs", ("torch", *EXTRACTION)),
        ("import features.storage.features_files", ("torch", *EXTRACTION)),
        ("import pipeline.stages.train", EXTRACTION),
        ("import pipeline.stages.evaluate", EXTRACTION),
        ("import pipeline.stages.concat", ("torch", *EXTRACTION)),
    ],
)
def test_what_is_not_needed_is_not_imported(code, names):
    assert loaded(code, names) == []


def test_reading_rows_does_not_import_pandas(tmp_path):
    """pyarrow imports it where it is installed, half a second, for many a harmless call."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({name: [True] if name == "seen" else ["a"] for name in COLUMNS}), path)
    code = (
        f"from pathlib import Path; from data.tables.rows import read_rows; print(len(read_rows(Path({str(path)!r}))))"
    )
    assert loaded(code, ("pandas", "pyarrow")) == ["pyarrow"]


def test_the_check_sees_what_is_imported():
    assert loaded("import torch", ("torch", "timm")) == ["torch"]


@pytest.mark.parametrize("stage", ["extract", "train"])
def test_a_stage_prints_nothing_of_what_the_collector_leaves(stage):
    """triton, which timm's import loads, lists every object that is not collected when the process ends."""
    code = f"from pipeline.cli.stages import freeze_modules; import pipeline.stages.{stage}; freeze_modules()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP)
    assert done.stderr == ""
