"""Cover images: a small gradient of two colours, different for every track."""

import colorsys
import hashlib
import zlib
from struct import pack

_SIDE = 96


def paint(name: str) -> bytes:
    """Paint a PNG image whose colours follow from a name."""
    draw = hashlib.sha256(name.encode()).digest()
    top = _colour(draw[0] / 256)
    bottom = _colour((draw[0] / 256 + 0.2 + draw[1] / 512) % 1.0)
    rows = bytearray()
    for y in range(_SIDE):
        share = y / (_SIDE - 1)
        pixel = bytes(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
        rows += b"\0" + pixel * _SIDE
    header = pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, body)
        for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _colour(hue: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _chunk(name: bytes, body: bytes) -> bytes:
    return pack(">I", len(body)) + name + body + pack(">I", zlib.crc32(name + body))
