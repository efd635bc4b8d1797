"""What a JPEG file says of itself, and whether its compressed data reach to its last pixel.

libjpeg fills what is missing with grey and only warns, and Pillow passes no warning on. So each run of compressed data
is decoded a second time with other bytes put behind it: pixels that change were never in the file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from data.errors import Unusable
from data.images.zeros import MIN_ZEROS, OTHER_BYTES

SIGNATURE = b"\xff\xd8\xff"
MAX_SCANS = 32  # each is a pass over all pixels; encoders write 10 to 15, and 100 scans take seconds per megapixel
_END = b"\xff\xd9"
_MARKER = re.compile(rb"\xff+[\x01-\xcf\xd8-\xfe]")  # in compressed data: not a stuffed zero, not a restart
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_HUFFMAN, _ARITHMETIC, _PROGRESSIVE = (0xC0, 0xC1, 0xC2), (0xC9, 0xCA), (0xC2, 0xCA)
_DHT, _SOS, _EOI, _DRI = 0xC4, 0xDA, 0xD9, 0xDD


@dataclass
class Jpeg:
    """The first image of a JPEG file, without metadata that `decode` ignores."""

    head: bytearray = field(default_factory=lambda: bytearray(b"\xff\xd8"))  # up to the first scan
    scans: list[tuple[bytes, bytes]] = field(default_factory=list)  # tables and header; compressed data
    exif: bytes = b""
    frame: int = 0  # marker of the frame header
    components: tuple[int, ...] = ()
    ac_tables: dict[int, int] = field(default_factory=dict)  # id -> symbol of the code that is all zeros
    hollow: bool = False  # a run of zeros that no encoder writes

    def encoded(self, behind: bytes = b"") -> bytes:
        """The file again, with `behind` put after the compressed data of each scan and before each restart marker."""
        parts = [bytes(self.head)]
        for header, data in self.scans:
            parts += [header, _RESTART.sub(lambda found: behind + found[0], data) if behind else data, behind]
        return b"".join([*parts, _END])

    def without_zeros(self, kept: int) -> "Jpeg":
        """Of the zeros at the end of the last scan, only `kept`."""
        header, data = self.scans[-1]
        return Jpeg(self.head, [*self.scans[:-1], (header, data.rstrip(b"\0") + bytes(kept))])

    @property
    def last_zeros(self) -> int:
        """Length of the run of zeros at the end of the last scan."""
        data = self.scans[-1][1]
        return len(data) - len(data.rstrip(b"\0"))


def other_ending(jpeg: Jpeg) -> bytes | None:
    """A file that decodes to the same pixels exactly if `jpeg` is whole; None where that cannot be told.

    An arithmetic coder leaves zeros out at the end of its data, so that there nothing may be put behind.
    """
    return None if jpeg.frame in _ARITHMETIC else jpeg.encoded(OTHER_BYTES)


def parse_jpeg(content: bytes) -> Jpeg:
    """Read the markers of the first image in `content`; no pixel is decoded.

    Raises:
        Unusable: `truncated`: no end marker, a scan is missing, a run of zeros; `unreadable`: segments out of order;
            `slow`: more scans than MAX_SCANS.
    """
    jpeg = Jpeg()
    known: dict[int, list[int]] = {}  # component -> the lowest bit that is known of each coefficient
    pending = jpeg.head
    interval = 0
    for marker, segment, data in _segments(content):
        body = segment[4:]
        if marker == _EOI:
            break
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            if marker == 0xE1 and body[:6] == b"Exif\0\0" and not jpeg.exif:
                jpeg.exif = body
            if (marker == 0xE0 and body[:5] == b"JFIF\0") or (marker == 0xEE and body[:5] == b"Adobe"):
                pending += segment
            continue
        pending += segment
        if marker in (*_HUFFMAN, *_ARITHMETIC):
            jpeg.frame, jpeg.components = marker, tuple(body[6::3][: body[5]]) if len(body) > 5 else ()
        elif marker == _DHT:
            jpeg.ac_tables.update(_zero_symbols(body))
        elif marker == _DRI:
            interval = int.from_bytes(body[:2], "big")
        elif marker == _SOS:
            if len(jpeg.scans) == MAX_SCANS:
                raise Unusable("slow", f"more than {MAX_SCANS} scans; save it again as an ordinary JPEG")
            _check_restarts(data, interval)
            jpeg.hollow |= _is_hollow(jpeg, body, data)
            _cover(known, jpeg.frame, body)
            if jpeg.scans:
                jpeg.scans.append((bytes(pending), data))
            else:
                jpeg.scans.append((b"", data))
            pending = bytearray()
    if not jpeg.scans:
        raise Unusable("truncated", "no compressed data")
    _check_complete(known, jpeg.components)
    return jpeg


def _segments(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (marker, segment with marker and length, compressed data behind it)."""
    place = 2
    while True:
        while content[place : place + 2] == b"\xff\xff":
            place += 1
        if place + 2 > len(content):
            raise Unusable("truncated", "no end marker")
        marker = content[place + 1]
        if content[place] != 0xFF or marker == 0:
            raise Unusable("unreadable", "no marker where a JPEG segment should start")
        if marker == _EOI:
            yield marker, content[place : place + 2], b""
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these stand alone
            place += 2
            continue
        stop = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if stop > len(content) or stop < place + 4:
            raise Unusable("truncated", "it ends inside a segment")
        segment, data = content[place:stop], b""
        place = stop
        if marker == _SOS:
            following = _MARKER.search(content, stop)
            if following is None:
                raise Unusable("truncated", "no end marker")
            data, place = content[stop : following.start()], following.start()
        yield marker, segment, data


def _check_restarts(data: bytes, interval: int) -> None:
    """Restart markers count 0 to 7 over and over; one that is missing takes a stripe of the picture with it."""
    numbers = [found[0] - 0xD0 for found in _RESTART.findall(data)] if interval else []
    if numbers != [place % 8 for place in range(len(numbers))]:
        raise Unusable("truncated", "a part between two restart markers is missing")


def _zero_symbols(body: bytes) -> Iterator[tuple[int, int]]:
    """(table, symbol that its all-zero code stands for) of each AC table in a DHT segment."""
    place = 0
    while place + 17 < len(body):
        if body[place] >> 4:
            yield body[place] & 15, body[place + 17]
        place += 17 + sum(body[place + 1 : place + 17])


def _is_hollow(jpeg: Jpeg, header: bytes, data: bytes) -> bool:
    """Long runs of zero bits are fine where they stand for "block ends"; elsewhere no picture has them."""
    count = header[0] if header else 0
    if jpeg.frame not in _HUFFMAN or len(header) < 4 + 2 * count or bytes(MIN_ZEROS) not in data:
        return False
    first, last = header[1 + 2 * count], header[2 + 2 * count]
    if first == last == 0:  # DC only: zero bits say "as the block before"
        return False
    symbols = [jpeg.ac_tables.get(header[2 + 2 * index] & 15, 0) for index in range(count)]
    return all(symbol & 15 for symbol in symbols)


def _cover(known: dict[int, list[int]], frame: int, header: bytes) -> None:
    """Note which coefficients of which components a scan gives, and down to which bit."""
    count = header[0] if header else 0
    if len(header) < 4 + 2 * count:
        raise Unusable("unreadable", "a scan header is too short")
    first, last, bits = header[1 + 2 * count : 4 + 2 * count]
    if frame not in _PROGRESSIVE:
        first, last, bits = 0, 63, 0
    for component in header[1 : 1 + 2 * count : 2]:
        lowest = known.setdefault(component, [1] * 64)
        lowest[first : last + 1] = [bits & 15] * len(lowest[first : last + 1])


def _check_complete(known: dict[int, list[int]], components: tuple[int, ...]) -> None:
    """A progressive file cut between two scans is valid in itself, and a blurred picture."""
    if any(any(known.get(component, (1,))) for component in components):
        raise Unusable("truncated", "a scan is missing")
