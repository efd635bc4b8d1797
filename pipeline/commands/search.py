"""`python -m pipeline search IMAGE...`: the nearest images of the prepared data set, or of any folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from data.datasets.source import shown
from data.files.atomic import sha256_bytes, write_bytes
from data.images.open_images import OpenedImage
from heads.knn import knn
from pipeline.inference import faiss_index
from pipeline.inference.predictor import ImageHead, load_head
from pipeline.inference.search_index import Gallery, codes_path, folder_gallery, named, prepared_gallery
from pipeline.params import load_params
from pipeline.paths import dataset_folder
from pipeline.progress import progress

How = Literal["auto", "exact", "faiss"]
LARGE = 1_000_000  # images from which `auto` takes an index, where faiss is installed: exact takes 0.2 s on 2 cores


@dataclass(frozen=True)
class Near:
    """A neighbour. `copy`: of the very bytes of the query."""

    rank: int
    name: str
    group: str | None
    similarity: float
    probability: float
    alike: bool
    copy: bool


@dataclass(frozen=True)
class Found:
    queries: list[str]
    nearest: list[list[Near]]
    rows: list[list[int]]  # of the gallery
    how: str  # exact, or what an index loses


def run(
    images: Sequence[OpenedImage],
    *,
    gallery: Path | None = None,
    folder: Path | None = None,
    k: int = 10,
    how: How = "auto",
    as_json: bool = False,
    html: Path | None = None,
    png: Path | None = None,
) -> None:
    """Print the `k` nearest of each of `images` in the folder `gallery`, or in the data set of the head in `folder`.

    Raises:
        DataError: the folder cannot be used, or has fewer than `k` images. HeadError: no head.
    """
    head = load_head(folder)
    if gallery is None:
        place = folder.parent if folder else dataset_folder(load_params())
        held = prepared_gallery(head, place, least=k)
    else:
        held = folder_gallery(head, gallery, least=k, progress=lambda total: progress(total, f"embed {gallery}"))
    found = search(head, held, images, k=k, how=how)
    print(as_text(found, held, head) if not as_json else json.dumps(as_plain(found, held, head), indent=2))
    if html or png:
        title, notes = f"Nearest in {held.title}", [*summary(found, held, head), *held.licence()]
        for path in draw_sheets(found, held, images, title=title, notes=notes, html=html, png=png):
            if not as_json:
                print(f"wrote {shown(str(path))}")


def search(head: ImageHead, gallery: Gallery, images: Sequence[OpenedImage], *, k: int, how: How = "auto") -> Found:
    """The `k` nearest of `gallery` to each image, best first."""
    queries = head.codes_of(head.features_of([image.picture for image in images]))
    scores, rows, said = _look_up(head, gallery, queries, k, how)
    answer = head.answer(scores.cpu().numpy())
    keys = [sha256_bytes(image.content) for image in images]
    lists = [
        [
            Near(
                rank=rank + 1,
                name=gallery.names[row],
                group=gallery.groups[row] if gallery.groups else None,
                similarity=round(float(answer.similarity[query, rank]), 4),
                probability=round(float(answer.probability[query, rank]), 4),
                alike=bool(answer.alike[query, rank]),
                copy=gallery.keys[row] == keys[query],
            )
            for rank, row in enumerate(chosen)
        ]
        for query, chosen in enumerate(rows.tolist())
    ]
    return Found([image.name for image in images], lists, rows.tolist(), said)


def _look_up(head: ImageHead, gallery: Gallery, queries: Tensor, k: int, how: How) -> tuple[Tensor, Tensor, str]:
    large = len(gallery) >= LARGE and head.trained.head.embeds
    if how == "faiss" or (how == "auto" and large and faiss_index.available()):
        index = faiss_index.open_index(head, gallery.codes, k=k, path=codes_path(gallery.key).with_suffix(".faiss"))
        scores, rows = faiss_index.search(head, index, queries, gallery=gallery.codes, k=k)
        said = f"FAISS, {index.looked_into} of {index.cells} cells; recall@{k} {index.recall:.3f} against exact search"
        return scores, rows, said
    scores, rows = knn(head.trained, queries, gallery=gallery.codes, k=k)
    return scores, rows, "exact; pip install faiss-cpu makes it faster" if how == "auto" and large else "exact"


def summary(found: Found, gallery: Gallery, head: ImageHead) -> list[str]:
    """What was searched, and what numbers mean."""
    lines = [
        f"{len(gallery):,} images of {shown(gallery.title)}; search: {found.how}",
        f"alike from {head.threshold:.3f} on; probability where half of the pairs are alike, as on val",
    ]
    if gallery.rejected:
        lines.append(f"left out, no images: {len(gallery.rejected)} files: {named(gallery.rejected)}")
    return lines


def as_text(found: Found, gallery: Gallery, head: ImageHead) -> str:
    lines = []
    for name, neighbours in zip(found.queries, found.nearest, strict=True):
        lines += [shown(name), "      similarity  probability"]
        for one in neighbours:
            word = "alike" if one.alike else "different"
            group = f"  {shown(one.group)}" if one.group is not None else ""
            copy = "  (same bytes)" if one.copy else ""
            numbers = f"{one.rank:>4}  {one.similarity:>10.3f}  {one.probability:>11.3f}"
            lines.append(f"{numbers}  {word:9}  {shown(one.name)}{group}{copy}")
    return "\n".join(lines + summary(found, gallery, head))


def as_plain(found: Found, gallery: Gallery, head: ImageHead) -> dict:
    """For --json."""
    return {
        "gallery": gallery.title,
        "images": len(gallery),
        "rejected": [{"name": name, "reason": str(why)} for name, why in gallery.rejected],
        "search": found.how,
        "threshold": round(head.threshold, 4),
        "queries": [
            {"image": name, "nearest": [asdict(one) for one in neighbours]}
            for name, neighbours in zip(found.queries, found.nearest, strict=True)
        ],
    }


def draw_sheets(
    found: Found,
    gallery: Gallery,
    images: Sequence[OpenedImage],
    *,
    title: str,
    notes: Sequence[str],
    html: Path | None,
    png: Path | None,
) -> list[Path]:
    """Write the contact sheets that are asked for; their names."""
    from pipeline.inference.result_sheet import (  # half a second, for sheets alone
        SheetRow,
        Shown,
        draw_html,
        draw_png,
        small,
    )

    wanted = sorted({row for rows in found.rows for row in rows})
    thumbs = {row: small(content) for row, content in zip(wanted, gallery.pictures(wanted), strict=True)}
    rows = [
        SheetRow(
            query=Shown(image.name, small(image.content)),
            nearest=[
                Shown(
                    one.name,
                    thumbs[row],
                    alike=one.alike,
                    numbers=f"{one.similarity:.3f} · {one.probability:.2f}",
                    words=tuple(filter(None, (one.group, "same bytes" if one.copy else None))),
                )
                for one, row in zip(neighbours, rows, strict=True)
            ],
        )
        for image, neighbours, rows in zip(images, found.nearest, found.rows, strict=True)
    ]
    for path, draw in ((html, draw_html), (png, draw_png)):
        if path:
            write_bytes(path, draw(rows, title=title, notes=notes))
    return [path for path in (html, png) if path]
