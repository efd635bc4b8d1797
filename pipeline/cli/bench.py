"""The commands `bench ...`, one per file of benchmarks/."""

from pathlib import Path
from typing import Annotated

import typer

bench = typer.Typer(help="Benchmarks; results with machine and versions go to benchmarks/.", no_args_is_help=True)


@bench.command("extract")
def bench_extract(
    names: Annotated[list[str] | None, typer.Argument(help="networks; none: all four")] = None,
    seconds: float = typer.Option(20, min=1, help="of forward passes; the whole takes about four times that"),
    repeats: int = typer.Option(3, min=1),
) -> None:
    """Extraction, part by part and whole, against the usual loop.

    Decode, preprocess and forward pass, for each network.
    """
    from pipeline.params import load_params

    params = load_params()
    from pipeline.commands.bench_extract import run

    run(params, names=_networks(names), seconds=seconds, repeats=repeats)


def _networks(names: list[str] | None) -> list[str]:
    """Those of `bench_extract.NETWORKS` that are asked for; none: all."""
    from data.errors import did_you_mean
    from pipeline.commands.bench_extract import NETWORKS
    from pipeline.errors import ParamError

    for name in names or ():
        if name not in NETWORKS:
            raise ParamError(f"no network '{name}' to measure{did_you_mean(name, NETWORKS)}")
    return names or list(NETWORKS)


@bench.command()
def engines(
    names: Annotated[list[str] | None, typer.Argument(help="networks; none: all four")] = None,
    rounds: int = typer.Option(5, min=1),
    batches: int = typer.Option(8, min=1, help="of 16 images, in each round"),
) -> None:
    """The float32 forward pass on a CPU, beside onnxruntime's.

    And beside the network as it was loaded; onnxruntime only if it is installed.
    """
    from pipeline.commands.bench_engines import run

    run(names=_networks(names), rounds=rounds, batches=batches)


@bench.command()
def heads(epochs: int = typer.Option(6, min=2, help="of each contender")) -> None:
    """Training a head, against a plain loop and a library.

    A DataLoader loop over explicit pairs, and pytorch-metric-learning with its miner.
    """
    from pipeline.params import load_params

    params = load_params()
    from pipeline.commands.bench_heads import run

    run(params, epochs=epochs)


@bench.command()
def losses() -> None:
    """Every loss at its default settings, by val score.

    The head of params.yaml, with only `head.loss` replaced; some minutes. Writes
    docs/losses.md too.
    """
    from pipeline.params import load_params

    params = load_params()
    from pipeline.commands.bench_losses import run

    run(params)


@bench.command("use")
def bench_use(
    gallery: int = typer.Option(100_000, min=100, help="images of the gallery that is searched"),
    k: int = typer.Option(10, min=1),
    repeats: int = typer.Option(3, min=1, help="of each process that is timed"),
) -> None:
    """Using a head: compare two images, search a large gallery.

    `compare` beside its imports and a forward pass.
    """
    from pipeline.params import load_params

    params = load_params()
    from pipeline.commands.bench_use import run

    run(params, gallery=gallery, k=k, repeats=repeats)


@bench.command("finetune")
def bench_finetune(
    batch: int = typer.Option(128, min=4),
    steps: int = typer.Option(16, min=2, help="in a turn"),
    rounds: int = typer.Option(7, min=1, help="turns of each"),
) -> None:
    """Training a network, against a bare loop over the same one.

    The bare loop has its images on the device.
    """
    from pipeline.commands.bench_finetune import run

    run(batch=batch, steps=steps, rounds=rounds)


@bench.command()
def loop(
    rounds: int = typer.Option(3, min=1, help="runs of each"),
    busy: int = typer.Option(1, min=0, help="processes that compute beside a second series"),
) -> None:
    """`dvc exp run` with another loss, against an empty DVC project.

    Two stages that import torch and exit are the floor.
    """
    from pipeline.commands.bench_loop import run

    run(rounds=rounds, busy=busy)


@bench.command()
def ranking(
    queries: int = typer.Option(10_000, min=1),
    gallery: int = typer.Option(100_000, min=2),
    width: int = typer.Option(320, min=1),
    repeats: int = typer.Option(3, min=1),
) -> None:
    """Exact ranks of a large gallery, against the product alone."""
    from pipeline.commands.bench_ranking import run

    run(queries=queries, gallery=gallery, width=width, repeats=repeats)


@bench.command()
def gpu(
    parts: Annotated[list[str] | None, typer.Argument(help="'extract Lite0', heads, ...; none: all")] = None,
    device: str = typer.Option("cuda", help="cpu: to try the command itself"),
    small: bool = typer.Option(False, "--small", help="tiny sizes"),
    out: Annotated[
        Path | None, typer.Option(help="folder of gpu_*.csv; none: benchmarks/, for a card at full size")
    ] = None,
) -> None:
    """All that has to be known on a CUDA machine.

    In less than ten minutes, without network or data; what is not installed is skipped and named.
    """
    from pipeline.commands.bench_gpu import run

    if not run(parts=parts or (), on=device, small=small, out=out):
        raise typer.Exit(1)
