"""Small data sets made of bytes, and `build` with small lists."""

from pictures import png

from data.datasets.source import Item, Source
from data.images.decode import Unusable
from data.preparation.build import build
from data.preparation.draw_protocol import Attribution
from data.settings import DataSettings


def prepare(source: Source, out, *, split_by="image", max_rejected=0.0, seed=0, **settings):
    small = {"candidates": 4, "pairs": 20, "triplets": 20, "episodes": {"count": 5, "queries": 1}}
    return build(
        source,
        out,
        attribution=Attribution("own", "here", "mine"),
        settings=DataSettings(**{**small, **settings}),
        seed=seed,
        split_by=split_by,
        max_rejected=max_rejected,
    )


def made(contents: dict[str, bytes | Unusable], group=lambda name: name.split("/")[0], **fields) -> Source:
    items = [Item(name, group(name), **{key: value(name) for key, value in fields.items()}) for name in contents]
    values = list(contents.values())
    return Source(items, lambda indices: (values[index] for index in indices), "class")


def classes(count: int = 4, each: int = 10, **changes) -> dict[str, bytes]:
    return {f"c{c}/{i}": png(100 * c + i) for c in range(count) for i in range(each)} | changes


def pair_source(count: int, **changes) -> Source:
    contents = {f"{side}/{i:02d}": png(100 * s + i) for s, side in enumerate(("left", "right")) for i in range(count)}
    return made({**contents, **changes}, group=lambda name: name.split("/")[1], role=lambda name: name.split("/")[0])
