"""`python -m pipeline`: the stages that DVC runs, commands for people, benchmarks; and how mistakes end."""

import os
import sys
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.cli.bench import bench
from pipeline.cli.commands import commands
from pipeline.cli.stages import stages
from pipeline.errors import BAD_INPUT, machine_error

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(stages)
app.add_typer(commands)
app.add_typer(bench, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lookalike {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """lookalike: which of these images look alike? Small heads on frozen features, run by DVC."""


def main() -> None:
    """Run the command line; a person's mistake is one line on stderr and exit code 2, a failing machine exit code 1."""
    # Threads of torch that wait for each other sleep rather than spin. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Matrix products of a GPU that give the same bits each time. Read at the first one.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        app()
    except BAD_INPUT as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"error: {machine_error(error)}", file=sys.stderr)
        sys.exit(1)
