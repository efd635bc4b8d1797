"""`python -m pipeline`: one verb a stage for DVC, and verbs for people. Heavy imports wait until a verb runs."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import BAD_INPUT
from pipeline.ledger import recorded

app = typer.Typer(
    help="lookalike: which of these images look alike? Small heads on frozen features, run by DVC.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


bench = typer.Typer(help="Benchmarks; results with machine and versions go to benchmarks/.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@app.command()
def prepare() -> None:
    """Read the data set, reject what cannot be used, split it, and freeze the evaluation lists."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "prepare"):
        from pipeline.stages.prepare import run

        run(params)


@app.command()
def extract(name: str = typer.Argument(help="an entry of features.backbones")) -> None:
    """Turn every image into a vector with one backbone."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "extract", name):
        from pipeline.stages.extract import run

        run(params, name)


@app.command()
def fuse(name: str = typer.Argument(help="an entry of fusions")) -> None:
    """Put two feature sets side by side."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "fuse", name):
        from pipeline.stages.fuse import run

        run(params, name)


@app.command()
def finetune(name: str = typer.Argument(help="an entry of finetunes")) -> None:
    """Train a network on the images, and turn every image into a vector with it."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "finetune", name):
        from pipeline.stages.finetune import run

        run(params, name)


@app.command()
def verify() -> None:
    """Check that each feature set still belongs to the images, weights and settings; 32 rows are made again."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.verbs.verify import run

    run(params)


@app.command()
def train() -> None:
    """Train the head on the cached features."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "train"):
        from pipeline.stages.train import run

        run(params)


@app.command()
def evaluate() -> None:
    """Score the head on the test split, beside chance and no head."""
    from pipeline.params import load_params

    params = load_params()
    with recorded(params.data.name, "evaluate"):
        from pipeline.stages.evaluate import run

        run(params)


class Index(StrEnum):
    auto = "auto"
    exact = "exact"
    faiss = "faiss"


HeadFolder = Annotated[
    Path | None, typer.Option("--head", help="a head's folder; by default artifacts/<data.name>/head")
]
Json = Annotated[bool, typer.Option("--json", help="JSON in place of the table")]


@app.command()
def compare(
    images: Annotated[list[str], typer.Argument(help="two or more: files, file:// or http://localhost addresses")],
    every: bool = typer.Option(False, "--all", help="every pair, not each image against the first"),
    as_json: Json = False,
    head: HeadFolder = None,
) -> None:
    """Are images alike? The first against each other one: similarity, probability of "same", decision.

    Of a classifier of pairs the first asks and the others answer.
    """
    from data.loose import open_images

    opened = open_images(images)  # before networks are imported: a wrong name is told at once
    from pipeline.verbs.compare import run

    run(opened, folder=head, every=every, as_json=as_json)


@app.command()
def search(
    images: Annotated[list[str], typer.Argument(help="one or more: files, file:// or http://localhost addresses")],
    gallery: Annotated[
        Path | None, typer.Option(help="a folder of images, embedded once; by default the prepared data set")
    ] = None,
    k: int = typer.Option(10, min=1, help="neighbours of each image"),
    index: Annotated[Index, typer.Option(help="auto: exact, or faiss from 1,000,000 images on")] = Index.auto,
    html: Annotated[Path | None, typer.Option(help="also a contact sheet: one HTML file")] = None,
    png: Annotated[Path | None, typer.Option(help="also a contact sheet: a PNG")] = None,
    as_json: Json = False,
    head: HeadFolder = None,
) -> None:
    """The nearest images of the prepared data set, or of any folder, to each image."""
    from data.loose import open_images

    opened = open_images(images)  # before networks are imported: a wrong name is told at once
    from pipeline.verbs.search import run

    run(opened, gallery=gallery, folder=head, k=k, how=index.value, as_json=as_json, html=html, png=png)


@app.command()
def submit(
    out: Annotated[Path, typer.Option(help="the CSV to write")] = Path("build/submission.csv"),
) -> None:
    """A challenge's submission: a confidence for each candidate of the queries without truth."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.verbs.submit import run

    run(params, out)


@app.command()
def diff(
    before: str = typer.Argument(help="a git revision or a DVC experiment"),
    after: str = typer.Argument("workspace", help="another; by default what lies here now"),
) -> None:
    """Compare two runs on the same queries: differences with intervals, queries gained and lost."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.verbs.diff import run

    run(params.data.name, (before, after))


@app.command()
def table() -> None:
    """A Markdown table of this run and the experiments beside it, each beside no head and chance."""
    from pipeline.verbs.table import run

    run()


@app.command()
def transfer() -> None:
    """Train on each prepared data set, score on all that share the backbone, minus no head."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.verbs.transfer import run

    run(params)


@app.command()
def study(
    name: str = typer.Argument("", help="tiny_imagenet, mnist, tll, cifar100 or omniglot: a file of studies/"),
    every: bool = typer.Option(False, "--all", help="all studies"),
    rows: str | None = typer.Option(None, help="only these rows, with commas between; the others stay as they are"),
    dry_run: bool = typer.Option(False, "--dry-run", help="say what would run, and about how long"),
    mirror: str | None = typer.Option(None, help="a folder or address with <dataset>/<archive> and SHA256SUMS"),
    path: str | None = typer.Option(None, help="where your copy of the data lies, for a set without an address (tll)"),
    anyway: bool = typer.Option(False, "--anyway", help="also rows that want a GPU, on a machine without one"),
) -> None:
    """Run a published report's rows again, and write our figures beside its own into studies/NAME.md and .csv.

    Rows are DVC experiments beside your workspace, which stays as it is. What has run is not run again, so it can be
    stopped at any time. Rows that lack data, weights or a GPU are said with the remedy.
    """
    from pipeline.errors import ParamError
    from pipeline.studies.settings import known_studies
    from pipeline.verbs.study import Ask, run_studies

    if every == bool(name) or (every and rows):
        raise ParamError(f"give the name of one study, or --all (without --rows); known: {', '.join(known_studies())}")
    wanted = tuple(part.strip() for part in rows.split(",")) if rows else None
    ask = Ask(rows=wanted, dry_run=dry_run, mirror=mirror, path=path, anyway=anyway)
    if run_studies(known_studies() if every else [name], ask):
        raise typer.Exit(1)


@app.command()
def report() -> None:
    """One page, HTML and Markdown, with every score, curve, gallery and a map of the embeddings."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.verbs.report import run

    run(params)


@app.command()
def export(
    out: Annotated[Path | None, typer.Option(help="the file; by default artifacts/<data set>/<data set>.onnx")] = None,
    head: Annotated[Path | None, typer.Option(help="a head's folder; by default artifacts/<data.name>/head")] = None,
) -> None:
    """Preprocessing, network and head as one ONNX file for other programs, checked on real images."""
    from pipeline.extras import need

    need("export", "onnx", "onnxscript", "onnxruntime")
    from pipeline.params import load_params
    from pipeline.paths import head_folder

    folder = head or head_folder(load_params())
    from pipeline.verbs.export import run

    run(folder, out)


@app.command()
def demo(
    port: int = typer.Option(7860, min=1, max=65535),
    browser: bool = typer.Option(True, help="open a browser"),
) -> None:
    """A page to search, compare and draw on, with every head in artifacts/; for this machine alone."""
    from pipeline.extras import need

    need("demo", "gradio")
    from pipeline.params import load_params
    from pipeline.verbs.demo import run

    run(first=load_params().data.name, port=port, browser=browser)


@bench.command("extract")
def bench_extract(
    names: Annotated[list[str] | None, typer.Argument(help="networks; none: all four")] = None,
    seconds: float = typer.Option(20, min=1, help="of forward passes; the whole takes about four times that"),
    repeats: int = typer.Option(3, min=1),
) -> None:
    """Extraction: decode, preprocess, forward, the whole path, and the usual loop, for each network."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.errors import ParamError, nearest
    from pipeline.verbs.bench_extract import NETWORKS, run

    for name in names or ():
        if name not in NETWORKS:
            raise ParamError(f"no network '{name}' to measure; {nearest(name, NETWORKS)}")
    run(params, names=names or list(NETWORKS), seconds=seconds, repeats=repeats)


@bench.command()
def heads(epochs: int = typer.Option(6, min=2, help="of each contender")) -> None:
    """Training a head: ours, a DataLoader loop over explicit pairs, and pytorch-metric-learning with its miner."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.verbs.bench_heads import run

    run(params, epochs=epochs)


@bench.command("use")
def bench_use(
    gallery: int = typer.Option(100_000, min=100, help="images of the gallery that is searched"),
    k: int = typer.Option(10, min=1),
    repeats: int = typer.Option(3, min=1, help="of each process that is timed"),
) -> None:
    """Using a head: `compare` beside its imports and a forward pass, and the nearest of a large gallery."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.verbs.bench_use import run

    run(params, gallery=gallery, k=k, repeats=repeats)


@bench.command("finetune")
def bench_finetune(
    batch: int = typer.Option(128, min=4),
    steps: int = typer.Option(16, min=2, help="in a turn"),
    rounds: int = typer.Option(7, min=1, help="turns of each"),
) -> None:
    """Training a network: ours, against a bare loop over the same network with its images on the device."""
    from pipeline.verbs.bench_finetune import run

    run(batch=batch, steps=steps, rounds=rounds)


@bench.command()
def ranking(
    queries: int = typer.Option(10_000, min=1),
    gallery: int = typer.Option(100_000, min=2),
    width: int = typer.Option(320, min=1),
    repeats: int = typer.Option(3, min=1),
) -> None:
    """Exact ranks of a large gallery, against the matrix product alone."""
    from pipeline.verbs.bench_ranking import run

    run(queries=queries, gallery=gallery, width=width, repeats=repeats)


@app.command()
def datasets() -> None:
    """List the data sets: what is here, and what a download would cost."""
    from pipeline.verbs.datasets import run

    run()


@app.command()
def audit(
    picture: Annotated[
        Path | None, typer.Option(help="also draw nearly identical pairs of two splits into this PNG")
    ] = None,
) -> None:
    """Look for the same picture or group in two splits of the prepared data set, and list what was rejected."""
    from pipeline.params import load_params

    params = load_params()
    from pipeline.verbs.audit import run

    run(params, picture)


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
