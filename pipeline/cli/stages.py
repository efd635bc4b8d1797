"""The verbs that DVC runs, one a stage of dvc.yaml."""

import typer

from pipeline.stage_timings import recorded

stages = typer.Typer()


@stages.command()
def prepare() -> None:
    """Read the data set, split it, and freeze the evaluation lists."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "prepare"):
        from pipeline.stages.prepare import run

        run(params)


@stages.command()
def extract(name: str = typer.Argument(help="an entry of features.backbones")) -> None:
    """Turn every image into a vector with one backbone."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "extract", name):
        from pipeline.stages.extract import run

        run(params, name)


@stages.command()
def concat(name: str = typer.Argument(help="an entry of concatenations")) -> None:
    """Put two feature sets side by side."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "concat", name):
        from pipeline.stages.concat import run

        run(params, name)


@stages.command()
def finetune(name: str = typer.Argument(help="an entry of finetunes")) -> None:
    """Train a network on the images, for features of its own."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "finetune", name):
        from pipeline.stages.finetune import run

        run(params, name)


@stages.command()
def train() -> None:
    """Train the head on the cached features."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "train"):
        from pipeline.stages.train import run

        run(params)


@stages.command()
def evaluate() -> None:
    """Score the head on the test split, beside the baseline and chance."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "evaluate"):
        from pipeline.stages.evaluate import run

        run(params)
