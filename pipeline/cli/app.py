"""`python -m pipeline`: the stages that DVC runs, verbs for people, benchmarks; and how mistakes end."""

import sys

import typer

from pipeline.cli.bench import bench
from pipeline.cli.commands import verbs
from pipeline.cli.stages import stages
from pipeline.errors import BAD_INPUT

app = typer.Typer(
    help="lookalike: which of these images look alike? Small heads on frozen features, run by DVC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(stages)
app.add_typer(verbs)
app.add_typer(bench, name="bench")


def main() -> None:
    """Run the command line; a person's mistake is one line on stderr and exit code 2, a failing machine exit code 1."""
    try:
        app()
    except BAD_INPUT as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
