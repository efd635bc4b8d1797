"""The commands that DVC runs, one per stage of dvc.yaml."""

import gc
import sys
from importlib import import_module

import typer

from pipeline.stage_timings import recorded

stages = typer.Typer()


@stages.command()
def prepare() -> None:
    """Read the data set, split it, and freeze the evaluation lists."""
    run_stage("prepare")


@stages.command()
def extract(name: str = typer.Argument(help="an entry of features.backbones")) -> None:
    """Turn every image into a vector with one backbone."""
    run_stage("extract", name)


@stages.command()
def concat(name: str = typer.Argument(help="an entry of concatenations")) -> None:
    """Put two feature sets side by side."""
    run_stage("concat", name)


@stages.command()
def finetune(name: str = typer.Argument(help="an entry of finetunes")) -> None:
    """Train a network on the images, for features of its own."""
    run_stage("finetune", name)


@stages.command()
def train() -> None:
    """Train the head on the cached features."""
    run_stage("train")


@stages.command()
def evaluate() -> None:
    """Score the head on the test split, beside the baseline and chance."""
    run_stage("evaluate")


def run_stage(stage: str, *name: str) -> None:
    """`run` of pipeline/stages/<stage>.py, which is imported after params.yaml has been checked."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.stage_inputs import check_inputs

    with recorded(params.data.name, stage, *name):
        gc.disable()
        run = import_module(f"pipeline.stages.{stage}").run
        freeze_modules()
        gc.enable()
        check_inputs(params, stage, *name)
        run(params, *name)
    freeze_modules()


def freeze_modules() -> None:
    """Tell the garbage collector that what is loaded is no garbage: searching torch's modules for cycles, while they
    are imported and again when the process ends, takes a third as long as the import itself.

    Not with triton: it reports, line by line, its objects that are not collected when the process ends.
    """
    if "triton" not in sys.modules:
        gc.freeze()
