"""The commands for people. Heavy imports wait until a command runs."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

commands = typer.Typer()

Index = Literal["auto", "exact", "faiss"]
Reranking = Literal["none", "csls", "one_to_one", "query_expansion", "k_reciprocal"]
TableFormat = Literal["md", "csv", "latex"]
HeadFolder = Annotated[
    Path | None, typer.Option("--head", help="a head's folder; by default artifacts/<data.name>/head")
]
Json = Annotated[bool, typer.Option("--json", help="JSON in place of the table")]


def run_command(command: str, *arguments: Any) -> None:
    """`run(params, *arguments)` of pipeline/commands/<command>.py, which is imported after params.yaml is checked."""
    from pipeline.params import load_params

    params = load_params()
    import_module(f"pipeline.commands.{command}").run(params, *arguments)


@commands.command()
def check() -> None:
    """Check params.yaml, its paths and DVC's cache, before DVC runs.

    DVC's own messages about them are explained in docs/dvc_messages.md.
    """
    from pipeline.commands.check import run

    run()


@commands.command()
def verify() -> None:
    """Check that feature sets still belong to images and settings.

    Weights are hashed again, and 32 rows made again.
    """
    run_command("verify")


@commands.command()
def compare(
    images: Annotated[list[str], typer.Argument(help="two or more: files, file:// or http://localhost addresses")],
    every: bool = typer.Option(False, "--all", help="every pair, not each image against the first"),
    as_json: Json = False,
    head: HeadFolder = None,
) -> None:
    """Are images alike? The first one, against each of the others.

    Similarity, probability of "same", decision. Of a classifier of pairs the first asks and the others answer.
    """
    from data.images.open_images import open_images

    opened = open_images(images)  # before networks are imported: a wrong name is told at once
    from pipeline.commands.compare import run

    run(opened, folder=head, every=every, as_json=as_json)


@commands.command()
def search(
    images: Annotated[
        list[str] | None, typer.Argument(help="one or more: files, file:// or http://localhost addresses")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="words in place of images, for a head on CLIP's features; repeatable")
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="a folder of images, embedded once; by default the prepared data set")
    ] = None,
    k: int = typer.Option(10, min=1, help="neighbours of each image"),
    index: Annotated[Index, typer.Option(help="auto: exact, or faiss from 1,000,000 images on")] = "auto",
    rerank: Annotated[
        Reranking,
        typer.Option(help="order by all queries and the gallery together; docs/reranking.md says which helps when"),
    ] = "none",
    html: Annotated[Path | None, typer.Option(help="also a contact sheet: one HTML file")] = None,
    as_json: Json = False,
    head: HeadFolder = None,
) -> None:
    """The nearest images of the data set, or of any folder."""
    from data.images.open_images import open_images

    opened = open_images(images or [])  # before networks are imported: a wrong name is told at once
    from pipeline.commands.search import run

    run(
        opened,
        texts=text or [],
        gallery=gallery,
        folder=head,
        k=k,
        index=index,
        reranking=rerank,
        as_json=as_json,
        html=html,
    )


@commands.command()
def embed(
    folder: Annotated[Path, typer.Argument(help="a folder of images, with the folders in it")],
    out: Annotated[Path, typer.Option(help="the parquet file to write")] = Path("build/embeddings.parquet"),
    head: HeadFolder = None,
) -> None:
    """Features and embeddings of a folder's images, for other tools.

    One row per image: name, sha256, features (without the head) and embedding (with it).
    """
    from pipeline.commands.embed import run

    run(folder, out=out, head_folder=head)


@commands.command()
def submit(
    out: Annotated[Path, typer.Option(help="the CSV to write")] = Path("build/submission.csv"),
) -> None:
    """A challenge's submission, with a confidence a candidate."""
    run_command("submit", out)


@commands.command()
def diff(
    before: str = typer.Argument(help="a git revision or a DVC experiment"),
    after: str = typer.Argument("workspace", help="another; by default what lies here now"),
) -> None:
    """Compare two runs on the same queries, with intervals.

    Differences of every score, and the queries gained and lost.
    """
    from pipeline.params import load_params

    dataset = load_params().data.name
    from pipeline.commands.diff import run

    run(dataset, (before, after))


@commands.command()
def table(
    runs: Annotated[list[str] | None, typer.Argument(help="experiments, or workspace; by default all")] = None,
    all_commits: bool = typer.Option(False, "--all-commits", help="also those of earlier commits"),
    columns: str | None = typer.Option(
        None, help='scores and params in place of the usual ones: top2,auc,head.lr; a key with a comma in quotes: "a,b"'
    ),
    sort: str | None = typer.Option(None, help="by a score, the best first, or by a param"),
    against: str | None = typer.Option(None, help="a run: adds paired differences to it, and intervals"),
    form: Annotated[TableFormat, typer.Option("--format", help="latex: booktabs")] = "md",
) -> None:
    """A table of this run and the experiments beside it.

    Each beside baseline and chance, with the params in which they differ. A run that failed, still runs, or whose
    params were edited since is marked and has no score.
    """
    from pipeline.commands.table import run, split_keys

    run(runs or (), all_commits=all_commits, columns=split_keys(columns or ""), sort=sort, against=against, form=form)


@commands.command()
def transfer() -> None:
    """Train on each prepared data set, score on every other.

    All that share the backbone; the table shows scores minus the baseline.
    """
    run_command("transfer")


@commands.command()
def study(
    name: str = typer.Argument("", help="tiny_imagenet, mnist, tll, cifar100 or omniglot: a file of studies/"),
    every: bool = typer.Option(False, "--all", help="all studies"),
    rows: Annotated[
        list[str] | None, typer.Option(help="only this row (again for more); the others stay as they are")
    ] = None,
    dry_run: bool = typer.Option(False, "--dry-run", help="list what would run, and about how long"),
    check: bool = typer.Option(False, "--check", help="list rows whose number is of older code, settings or data"),
    mirror: str | None = typer.Option(None, help="a folder or address with <dataset>/<archive> and SHA256SUMS"),
    path: str | None = typer.Option(None, help="the place of your copy of a data set without an address (tll)"),
    weights: str | None = typer.Option(None, help="a folder with the checkpoints that a study names (cifar100)"),
    anyway: bool = typer.Option(False, "--anyway", help="also rows that need a GPU, on a machine without one"),
) -> None:
    """Run a report's rows again, and write our figures beside its own.

    They go to studies/NAME.md and .csv. Rows are DVC experiments beside your workspace, which stays as it is. A row
    that has run is not run again, so `study` can be stopped at any time. Rows that lack data, weights or a GPU are
    listed with the remedy. Exit code 1: a row failed, or --check found one.
    """
    from pipeline.commands.study import run_studies
    from pipeline.errors import ParamError
    from pipeline.studies.settings import known_studies

    if every == bool(name) or (every and rows):
        raise ParamError(f"give the name of one study, or --all (without --rows); known: {', '.join(known_studies())}")
    names = known_studies() if every else [name]
    places = {"mirror": mirror, "path": path, "weights": weights}
    if run_studies(names, rows=rows or (), dry_run=dry_run, check=check, anyway=anyway, **places):
        raise typer.Exit(1)


@commands.command()
def results() -> None:
    """Write docs/results.md from the tables of the studies."""
    from pipeline.studies.summary import OUT, write_results_page

    write_results_page()
    print(f"wrote {OUT}")


@commands.command()
def report() -> None:
    """One page of every score, curve, gallery and embedding map.

    As HTML and as Markdown.
    """
    run_command("report")


@commands.command()
def export(
    out: Annotated[Path | None, typer.Option(help="the file; by default artifacts/<data set>/<data set>.onnx")] = None,
    head: HeadFolder = None,
) -> None:
    """Network and head as one ONNX file, for other programs.

    With the preprocessing inside, and checked on real images.
    """
    from pipeline.extras import need

    need("export", "onnx", "onnxscript", "onnxruntime")
    from pipeline.params import load_params
    from pipeline.paths import head_folder

    folder = head or head_folder(load_params())
    from pipeline.commands.export import run

    run(folder, out)


@commands.command()
def demo(
    port: int = typer.Option(7860, min=1, max=65535),
    browser: bool = typer.Option(True, help="open a browser"),
) -> None:
    """A page to search, compare and draw on.

    With every head in artifacts/; for this machine alone.
    """
    from pipeline.extras import need

    need("demo", "gradio")
    from pipeline.commands.demo import run
    from pipeline.params import load_params

    run(first=load_params().data.name, port=port, browser=browser)


@commands.command()
def datasets() -> None:
    """List the data sets, and what a download would cost."""
    from pipeline.commands.datasets import run

    run()


@commands.command()
def audit(
    html: Annotated[Path | None, typer.Option(help="also a page of the nearly identical pairs of two splits")] = None,
) -> None:
    """Look for images or groups that are in two splits.

    Of the prepared data set; what was rejected is listed too.
    """
    run_command("audit", html)
