"""The help of the command line: every verb on one whole line, stages first."""

import errno
import os

import pytest
from typer.testing import CliRunner

import pipeline
from pipeline.cli.app import app
from pipeline.errors import machine_error


@pytest.mark.parametrize(("words", "first"), [([], "prepare"), (["bench"], "extract")])
def test_every_verb_is_one_whole_line(words, first):
    shown = CliRunner().invoke(app, [*words, "--help"], terminal_width=80).output
    verbs = [line for line in shown.partition("Commands:")[2].splitlines() if line.strip()]
    assert len(verbs) >= 5 and verbs[0].split()[0] == first
    assert not [line for line in verbs if line.endswith("...") or len(line.split()) < 3]


def test_a_misspelt_verb_is_told_its_neighbour():
    result = CliRunner().invoke(app, ["searc"])
    assert result.exit_code == 2 and "No such command 'searc'. Did you mean 'search'?" in result.stderr


@pytest.mark.parametrize("words", [["-h"], ["bench", "-h"], ["train", "-h"]])
def test_short_help(words):
    assert "Usage:" in CliRunner().invoke(app, words).output


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(app, ["--version"]).output == f"lookalike {pipeline.__version__}\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES])
def test_a_disk_that_fails_is_one_line_with_the_file_and_a_remedy(code):
    said = machine_error(OSError(code, os.strerror(code), "artifacts/emoji/images.parquet"))
    assert os.strerror(code) in said and "images.parquet'; " in said and "\n" not in said
