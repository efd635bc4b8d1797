"""What a TIFF file says of its samples: kinds that Pillow maps wrongly, and camera raw files, are told by their tags.

The combinations that are read were compared with tifffile, 3,600 of them (tests/data/images/test_tiff.py).
"""

import struct
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from data.errors import Unusable

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAX_ENTRIES, _MAX_SUBFILES = 4096, 16
_MAX_NUMBERS = 4 << 20  # of all tags together: two for each strip or tile
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_AS_BYTES = (1, 2, 7)
_FEW_VALUES, _MAX_VALUES = 64, 1 << 20  # of a tag; of one that lists strips or tiles
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}  # integers and bytes of TIFF 6.0 and BigTIFF
_FIRST = _SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_SECOND = _FILL_ORDER, _ORIENTATION, _PLANAR, _PREDICTOR, _SUBIFDS, _INK_SET = 266, 274, 284, 317, 330, 332
_THIRD = _FORMAT, _DNG_VERSION = 339, 50706
_PLACES = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_LONG = _COLOURS, *_ = 320, 347, *_PLACES[0], *_PLACES[1]  # 347: the tables of a JPEG inside
_WANTED = {*_FIRST, *_SECOND, *_THIRD, *_LONG}
_SENSOR = (32803, 34892)  # photometric: colour filter array, linear raw
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_BITS_READ = {
    _WHITE_IS_ZERO: (1, 2, 4, 8, 16),
    _BLACK_IS_ZERO: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _CMYK: (8, 16),
    _YCBCR: (8,),
}
_NONE, _JPEG = 1, 7
_WITH_PREDICTOR = (5, 8, 32946, 50000, 34925)  # LZW, deflate (twice), zstd, lzma: libtiff ignores it elsewhere
_UINT, _FLOAT = 1, 3
_MIN_ZEROS = 64

Tags = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class Tiff:
    """What to give to Pillow, and what it will not know."""

    content: bytes
    zero_is_white: bool  # of 16 bits; of fewer, Pillow knows


@dataclass(frozen=True)
class _File:
    content: bytes
    order: str  # "<" or ">"
    big: bool  # BigTIFF: offsets of 8 bytes

    def number(self, place: int, code: str) -> int:
        return struct.unpack_from(self.order + code, self.content, place)[0]

    def check_sizes(self, place: int) -> None:
        """Tags of the directory at `place` together fit into the file, and are not more numbers than strips may be.

        Pillow reads each of them as Python numbers, also when thousands of tags point to the same bytes.
        """
        count, first, size = (self.number(place, "Q"), 8, 20) if self.big else (self.number(place, "H"), 2, 12)
        stored = numbers = 0
        for start in range(place + first, place + first + min(count, _MAX_ENTRIES + 1) * size, size):
            kind, values = self.number(start + 2, "H"), self.number(start + 4, "Q" if self.big else "I")
            stored += values * _SIZES.get(kind, 0)
            numbers += 0 if kind in _AS_BYTES else values
        if count > _MAX_ENTRIES or stored > len(self.content) or numbers > _MAX_NUMBERS:
            raise Unusable("unreadable", "its tags are larger than the file")

    def tags(self, place: int, wanted: Container[int]) -> Tags:
        """The integer tags among `wanted` of the directory at `place`, but for those with absurdly many values."""
        count, first, size = (self.number(place, "Q"), 8, 20) if self.big else (self.number(place, "H"), 2, 12)
        found: dict[int, tuple[int, ...]] = {}
        for entry in range(min(count, _MAX_ENTRIES)):
            start = place + first + entry * size
            tag, kind = self.number(start, "H"), self.number(start + 2, "H")
            values = self.number(start + 4, "Q" if self.big else "I")
            code = _TYPES.get(kind)
            many = tag in _LONG
            if tag not in wanted or tag in found or code is None or values > (_MAX_VALUES if many else _FEW_VALUES):
                continue
            at = start + (12 if self.big else 8)
            if values * struct.calcsize(code) > (8 if self.big else 4):
                at = self.number(at, "Q" if self.big else "I")
            found[tag] = struct.unpack_from(f"{self.order}{values}{code}", self.content, at)
        return found


def parse_tiff(content: bytes) -> Tiff:
    """Read the tags of the first picture; no pixel is decoded.

    Raises:
        Unusable: `raw`, `preview`, `float`, `depth`, `unsupported`: kinds that are not read; `truncated`: pixels lie
            behind the end of the file; `unreadable`: tags are broken.
    """
    file = _File(content, "<" if content[:1] == b"I" else ">", content[2:4] in (b"+\0", b"\0+"))
    try:
        place = file.number(8, "Q") if file.big else file.number(4, "I")
        file.check_sizes(place)
        tags = file.tags(place, _WANTED)
        _check_raw(file, tags)
    except (struct.error, OverflowError):
        raise Unusable("truncated", "its tags lie behind its end") from None
    _check_kind(tags)
    _check_pixels(content, tags)
    if _are_plain_planes(tags):
        return Tiff(_interleaved(file, tags), False)
    return Tiff(content, tags.get(_PHOTOMETRIC, (0,))[0] == _WHITE_IS_ZERO and tags.get(_BITS, (1,))[0] == 16)


def _check_raw(file: _File, tags: Tags) -> None:
    below = [file.tags(place, {_PHOTOMETRIC}) for place in tags.get(_SUBIFDS, ())[:_MAX_SUBFILES]]
    photometric = {value for found in (tags, *below) for value in found.get(_PHOTOMETRIC, ())}
    if _DNG_VERSION in tags or file.content[8:10] == b"CR" or photometric & set(_SENSOR):
        raise Unusable("raw", "a camera raw file; develop it, and save it as JPEG, PNG or TIFF")
    if tags.get(_SUBFILE, (0,))[0] & 1:
        raise Unusable("preview", "its first picture is a preview of another one; save that as a file of its own")


def _check_kind(tags: Tags) -> None:
    """Each line below is a kind that Pillow would read as other pixels than the file's."""
    formats, bits = set(tags.get(_FORMAT, (_UINT,))), set(tags.get(_BITS, (1,)))
    if _FLOAT in formats:
        raise Unusable("float", "its range of values is not known")
    if formats - {_UINT, 4} or max(bits) > 16:
        raise Unusable("depth", "signed numbers, or 32 bits a channel: its range of values is not known")
    photometric = tags.get(_PHOTOMETRIC, (_WHITE_IS_ZERO,))[0]
    compression = tags.get(_COMPRESSION, (_NONE,))[0]
    packed = compression != _NONE
    colours = tags.get(_COLOURS, ())
    planes = tags.get(_PLANAR, (1,))[0] == 2 and len(tags.get(_BITS, (1,))) > 1
    wrong = {
        "photometric interpretation": photometric not in _BITS_READ,
        "number of bits": len(bits) > 1 or not bits <= set(_BITS_READ.get(photometric, bits)),
        "16-bit samples in planes": planes and bits == {16} and not packed and not _are_plain_planes(tags),
        "grey samples in planes": planes and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO),
        "YCbCr without JPEG": photometric == _YCBCR and compression != _JPEG,
        "predictor": tags.get(_PREDICTOR, (1,))[0] != 1 and compression not in _WITH_PREDICTOR,
        "bit order": tags.get(_FILL_ORDER, (1,))[0] == 2 and bits == {16},
        "ink set": photometric == _CMYK and tags.get(_INK_SET, (1,))[0] != 1,
        "palette of 8 bits": photometric == _PALETTE and 0 < max(colours, default=0) < 256,
    }
    names = [name for name, is_wrong in wrong.items() if is_wrong]
    if names:
        raise Unusable("unsupported", f"TIFF with {names[0]} that is not read; save it as PNG or 8-bit RGB")


def _are_plain_planes(tags: Tags) -> bool:
    """RGB in strips, nothing packed, nothing beside it, upright: what `_interleaved` reads."""
    kind = tags.get(_PHOTOMETRIC), tags.get(_BITS), tags.get(_COMPRESSION, (_NONE,)), tags.get(_PLANAR)
    upright = tags.get(_ORIENTATION, (1,)) == (1,)
    return kind == ((_RGB,), (16, 16, 16), (_NONE,), (2,)) and upright and _PLACES[0][0] in tags


def _interleaved(file: _File, tags: Tags) -> bytes:
    """16-bit RGB in planes, which Pillow scrambles, as a PPM file of 16 bits."""
    (width,), (height,) = tags.get(_WIDTH, (0,)), tags.get(_HEIGHT, (0,))
    offsets, counts = _PLACES[0]
    places = zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False)
    planes = b"".join(file.content[start : start + size] for start, size in places)
    if not width * height or len(planes) != 6 * width * height:
        raise Unusable("truncated", "its planes are not of its size")
    pixels = np.frombuffer(planes, f"{file.order}u2").reshape(3, height, width).transpose(1, 2, 0)
    return b"P6 %d %d 65535\n" % (width, height) + pixels.astype(">u2").tobytes()


def _check_pixels(content: bytes, tags: Tags) -> None:
    """Strips or tiles lie inside the file, and compressed ones do not end in a run of zeros."""
    packed = tags.get(_COMPRESSION, (_NONE,))[0] != _NONE
    for offsets, counts in _PLACES:
        for start, size in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
            if start + size > len(content):
                raise Unusable("truncated", "pixels lie behind its end")
            if packed and size > _MIN_ZEROS and not any(content[start + size - _MIN_ZEROS : start + size]):
                raise Unusable("truncated", "compressed pixels end in zeros")
