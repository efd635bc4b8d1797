"""`python -m pipeline search IMAGE...`: the nearest images of the prepared data set, or of any folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from data.datasets.source import shown
from data.files.atomic import write_bytes
from data.images.open_images import OpenedImage
from pipeline.display_names import display_name
from pipeline.errors import ParamError
from pipeline.inference.predictor import Predictor, load_head
from pipeline.inference.search import Index, Queries, SearchResult, image_queries, search
from pipeline.inference.search_index import Gallery, folder_gallery, named, prepared_gallery
from pipeline.inference.text_search import text_embeddings
from pipeline.params import load_params
from pipeline.paths import dataset_folder
from pipeline.progress import progress


def run(
    images: Sequence[OpenedImage],
    *,
    texts: Sequence[str] = (),
    gallery: Path | None = None,
    folder: Path | None = None,
    k: int = 10,
    index: Index = "auto",
    reranking: str = "none",
    as_json: bool = False,
    html: Path | None = None,
) -> None:
    """Print the `k` nearest of each of `images` in the folder `gallery`, or in the data set of the head in `folder`.

    `texts`: words in place of images.

    Raises:
        ParamError: neither images nor texts, or both; a head without its data set, and no `gallery`.
        DataError: the folder cannot be used, or has fewer than `k` images.
        HeadError: no head, or one that cannot compare images with words.
    """
    if bool(images) == bool(texts):
        raise ParamError("search needs images or --text, and not both: name one image, or --text 'a red car'")
    if gallery is None and folder is not None and not (folder.parent / "rows.parquet").exists():
        raise ParamError(f"{folder}: no data set lies beside this head; name images to search with --gallery FOLDER")
    head = load_head(folder)
    if texts:
        queries = Queries(texts, text_embeddings(head, texts), [""] * len(texts), calibrated=False)
    else:
        queries = image_queries(head, images)
    if gallery is None:
        place = folder.parent if folder else dataset_folder(load_params())
        searched = prepared_gallery(head, place, least=k)
    else:
        searched = folder_gallery(
            head, gallery, least=k, progress=lambda total, what: progress(total, f"{what} {gallery}")
        )
    found = search(head, searched, queries, k=k, index=index, reranking=reranking)
    print(json.dumps(as_plain(found, searched, head), indent=2) if as_json else as_text(found, searched, head))
    if html:
        write_bytes(html, as_html(found, searched, head, images))
        if not as_json:
            print(f"wrote {shown(str(html))}")


def summary(found: SearchResult, gallery: Gallery, head: Predictor) -> list[str]:
    """What was searched, and what numbers mean."""
    lines = [
        f"{len(gallery):,} images of {shown(gallery.title)}; search: {found.method}",
        f"alike from {head.threshold:.3f} on; probability where half of the pairs are alike, as on val"
        if calibrated(found)
        else "similarity of words and images, which lies lower than that of two images; the order is what counts",
    ]
    if gallery.rejected:
        lines.append(f"left out, no images: {len(gallery.rejected)} files: {named(gallery.rejected)}")
    return [*lines, *gallery.notes]


def calibrated(found: SearchResult) -> bool:
    """Whether threshold and probability hold for these queries."""
    return all(one.probability is not None for neighbours in found.nearest for one in neighbours)


def as_text(found: SearchResult, gallery: Gallery, head: Predictor) -> str:
    lines = []
    for query, neighbours in zip(found.queries, found.nearest, strict=True):
        lines += [shown(query), "      similarity" + "  probability" * calibrated(found)]
        for one in neighbours:
            group = f"  {shown(_group(one.group, gallery))}" if one.group is not None else ""
            copy = "  (same bytes)" if one.copy else ""
            line = f"{one.rank:>4}  {one.similarity:>10.3f}"
            if one.probability is not None:
                line += f"  {one.probability:>11.3f}  {'alike' if one.alike else 'different':9}"
            lines.append(f"{line}  {shown(one.name)}{group}{copy}")
    return "\n".join(lines + summary(found, gallery, head))


def as_plain(found: SearchResult, gallery: Gallery, head: Predictor) -> dict:
    """For --json."""
    return {
        "gallery": gallery.title,
        "images": len(gallery),
        "rejected": [{"name": name, "reason": str(why)} for name, why in gallery.rejected],
        "search": found.method,
        "threshold": round(head.threshold, 4),
        "queries": [
            {"image": query, "nearest": [asdict(one) for one in neighbours]}
            for query, neighbours in zip(found.queries, found.nearest, strict=True)
        ],
    }


def as_html(found: SearchResult, gallery: Gallery, head: Predictor, images: Sequence[OpenedImage]) -> bytes:
    """A contact sheet."""
    from pipeline.inference.result_sheet import SheetItem, SheetRow, draw_html, thumbnail  # half a second

    wanted = sorted({row for rows in found.rows for row in rows})
    thumbs = {row: thumbnail(content) for row, content in zip(wanted, gallery.pictures(wanted), strict=True)}
    sheet = [
        SheetRow(
            query=SheetItem(query, thumbnail(image.content) if image else b""),
            nearest=[
                SheetItem(
                    one.name,
                    thumbs[row],
                    alike=bool(one.alike),
                    numbers=" · ".join(f"{n:.3g}" for n in (one.similarity, one.probability) if n is not None),
                    words=tuple(filter(None, (_group(one.group, gallery), "same bytes" if one.copy else None))),
                )
                for one, row in zip(neighbours, rows, strict=True)
            ],
        )
        for query, image, neighbours, rows in zip(
            found.queries, images or [None] * len(found.queries), found.nearest, found.rows, strict=True
        )
    ]
    notes = [*summary(found, gallery, head), *gallery.licence()]
    return draw_html(sheet, title=f"Nearest in {gallery.title}", notes=notes)


def _group(group: str | None, gallery: Gallery) -> str:
    return "" if group is None else display_name(group, gallery.title)
