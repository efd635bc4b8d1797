"""`python -m pipeline bench gpu`: what has to be known on a CUDA machine, in less than ten minutes.

It needs torch, torchvision, timm, pyarrow, pydantic, ruamel.yaml and numpy; no network, no download, no data set. What
else is missing is named, and the parts that need it are skipped. Each part runs in a process of its own, so that one
that fails, hangs or breaks the card's context does not take the others with it. Where typer is missing too:
`python -m pipeline.commands.bench_gpu`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import ParamError

TOP = Path(__file__).parents[2]
OUT = Path("benchmarks")
TOTAL = 570  # seconds of all parts
# Seconds that a part may take. torch.compile is most of an extraction.
BUDGETS = {
    "interchange": 75,
    "extract Lite0": 75,
    "extract ViT-B/32": 75,
    "extract RN50": 90,
    "extract RN50x4": 110,
    "heads": 60,
    "ranking": 40,
    "tests": 120,
    "finetune": 50,
}
ROW, SKIPPED = "row ", "skipped: "  # of a part's output
# module -> what goes without it
OPTIONAL = {
    "pytest": "the tests",
    "hypothesis": "",
    "pytorch_metric_learning": "its contender among heads",
    "open_clip": "",
    "dvc": "",
    "typer": "",
    "sklearn": "",
    "scipy": "",
}
Row = dict[str, object]


def run(*, parts: Sequence[str] = (), on: str = "cuda", small: bool = False, out: Path | None = None) -> bool:
    """Run `parts`, or all, and write `out`/gpu_*.csv; without `out` the figures of a card go to benchmarks/, others are
    only printed. False where a part failed.

    Raises:
        ParamError: no such part; no card.
    """
    if on not in ("cuda", "cpu"):
        raise ParamError(f"bench gpu: no device '{on}'; known: cuda, cpu")
    if unknown := [part for part in parts if part not in BUDGETS]:
        raise ParamError(f"bench gpu: no part '{unknown[0]}'; known: {', '.join(BUDGETS)}")
    about = _about(on)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    if missing := [name for name in OPTIONAL if find_spec(name) is None]:
        effects = [f"{name} (skipped: {OPTIONAL[name]})" if OPTIONAL[name] else name for name in missing]
        print(f"not installed here: {', '.join(effects)}")
    tables: dict[str, list[Row]] = {}
    begin, failed = time.monotonic(), False
    for part in parts or BUDGETS:
        start = time.monotonic()
        # Small sizes try the command, on a machine that may be busy: no figure of theirs is kept.
        limit = 3600 if small else min(BUDGETS[part], TOTAL - (start - begin))
        print(f"[{start - begin:3.0f} s] {part}", flush=True)
        outcome, rows = run_part(part, on=on, small=small, seconds=limit)
        failed |= outcome != "ok" and not outcome.startswith(SKIPPED)
        print(f"        {part}: {outcome}", flush=True)
        for name, row in rows:
            tables.setdefault(name, []).append(row)
        summary = {"part": part, "outcome": outcome, "seconds": round(time.monotonic() - start, 1)}
        tables.setdefault("parts", []).append(summary)
    if out is None and on == "cuda" and not small:
        out = OUT
    if out is not None:
        _write(out, tables, about)
    return not failed


def run_part(part: str, *, on: str, small: bool, seconds: float) -> tuple[str, list[tuple[str, Row]]]:
    """What a part came to (`ok`, or one line), and its rows as (table, row): of rows that begin alike the last."""
    if seconds < 5:
        return "failed: no time left", []
    command = [sys.executable, "-m", "pipeline.commands.bench_gpu", "--run", part, "--device", on]
    paths = os.pathsep.join(filter(None, [str(TOP), os.environ.get("PYTHONPATH")]))
    more = {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    if on == "cpu":
        more["CUDA_VISIBLE_DEVICES"] = ""
    process = subprocess.Popen(
        [*command, "--small"] if small else command,
        cwd=TOP,
        env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # its workers end with it
    )
    late = threading.Event()

    def stop() -> None:
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, stop)
    timer.start()
    rows: dict[tuple[object, ...], tuple[str, Row]] = {}
    last = ""
    for line in process.stdout or ():
        line = line.rstrip()
        if line.startswith(ROW):
            table, row = json.loads(line.removeprefix(ROW))
            rows[(table, *list(row.values())[:2])] = (table, row)
            print(f"        {', '.join(f'{key} {value}' for key, value in row.items())}", flush=True)
        elif line:
            last = line
            if not line.startswith(SKIPPED):
                print(f"        {line}", flush=True)
    code = process.wait()
    timer.cancel()
    if late.is_set():
        return f"failed: not done after {seconds:.0f} s", list(rows.values())
    if last.startswith(SKIPPED):
        return last, list(rows.values())
    return "ok" if code == 0 else f"failed: {last or f'ended with code {code}'}", list(rows.values())


def _about(on: str) -> dict[str, str]:
    """The card, or the processor, and the versions: in every row."""
    import torch

    from pipeline.machine import machine

    if on == "cuda" and not torch.cuda.is_available():
        raise ParamError("bench gpu: torch sees no CUDA card here; try the command itself with --device cpu --small")
    about = {"card": torch.cuda.get_device_name() if on == "cuda" else "none", "machine": machine()}
    for name in ("torch", "torchvision", "timm"):
        try:
            about[name] = version(name)
        except PackageNotFoundError:
            about[name] = "not installed"
    return about | {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}


def _write(out: Path, tables: dict[str, list[Row]], about: dict[str, str]) -> None:
    from pipeline.machine import write_rows

    for name, rows in tables.items():
        columns = dict.fromkeys(column for row in rows for column in row)
        path = out / f"gpu_{name}.csv"
        write_rows(path, [{**{column: row.get(column, "") for column in columns}, **about} for row in rows])
        print(f"-> {path}")


def _emit(table: str, **row: object) -> None:
    print(f"{ROW}{json.dumps([table, row])}", flush=True)


def _run_here(part: str, *, small: bool) -> int:
    """One part in this process; the exit code."""
    from pipeline.commands.bench_gpu_inputs import FULL, SMALL, Failed, Missing
    from pipeline.commands.bench_gpu_parts import PARTS

    try:
        PARTS[part](_emit, SMALL if small else FULL)
    except Missing as needed:
        print(f"{SKIPPED}needs {needed}")
    except Failed as reason:
        print(reason)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.commands.bench_gpu", description="What has to be known on a CUDA machine."
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(BUDGETS)}; none: all")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes: is the command itself whole?")
    parser.add_argument("--out", type=Path, help="folder of gpu_*.csv")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        return _run_here(chosen.run, small=chosen.small)
    try:
        return 0 if run(parts=chosen.parts, on=chosen.device, small=chosen.small, out=chosen.out) else 1
    except ParamError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
