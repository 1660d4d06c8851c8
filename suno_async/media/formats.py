"""What a file is, told by how it begins; what a host calls it comes second."""

from collections.abc import Callable

from attrs import frozen

# how many bytes of a file are needed to tell
HEAD_BYTES = 16

_TEXT = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r\f")
_IMAGE_BRANDS = {b"avif", b"avis", b"heic", b"mif1"}


def audio_ending(head: bytes) -> str | None:
    """Name the format of audio by how it begins; None when it begins like none of them."""
    if head.startswith(b"ID3"):
        return ".mp3"
    if head[:4] in {b"RIFF", b"RF64"}:
        return None if head[8:12] == b"WEBP" else ".wav"
    if head.startswith(b"fLaC"):
        return ".flac"
    if head.startswith(b"OggS"):
        return ".ogg"
    if head[4:8] == b"ftyp":
        return None if head[8:12] in _IMAGE_BRANDS else ".m4a"
    return _frame_ending(head)


def _frame_ending(head: bytes) -> str | None:
    """Recognise an MPEG audio frame: eleven set bits, and no field with a forbidden value."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0:  # what MPEG-1 forbids is AAC in ADTS
        return ".aac" if version in {2, 3} and head[1] & 0xF0 == 0xF0 else None
    forbidden = version == 1 or head[2] >> 4 == 15 or head[2] >> 2 & 3 == 3
    return None if forbidden else ".mp3"


def image_ending(head: bytes) -> str | None:
    """Name the format of an image by how it begins; None when it begins like none of them."""
    if head.startswith(b"\xff\xd8\xff"):
        return ".jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    return ".avif" if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS else None


@frozen
class Kind:
    """A kind of file that is downloaded.

    Attributes:
        word: What it is called.
        ending: Names the format by how a file begins.
        default: The ending of what is accepted without being recognised.
        endings: The endings that the kind has.
    """

    word: str
    ending: Callable[[bytes], str | None]
    default: str
    endings: frozenset[str]

    def accepts(self, head: bytes, content_type: str) -> bool:
        """Tell whether a file that begins like this may be of the kind.

        What is recognised is taken, whatever it is called. A format that is new is taken when it
        is called one of this kind, or nothing in particular, and is not plain text or markup.
        """
        if self.ending(head) is not None:
            return True
        if not head or all(byte in _TEXT for byte in head) or head.lstrip()[:1] in {b"<", b"{"}:
            return False
        kind = content_type.partition(";")[0].strip().lower()
        return kind.startswith(f"{self.word}/") or kind in _UNSPECIFIC


# seen on audio: binary/octet-stream
_UNSPECIFIC = {"", "application/octet-stream", "binary/octet-stream", "application/binary"}

AUDIO = Kind(
    "audio",
    audio_ending,
    ".mp3",
    frozenset({".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aif", ".aiff"}),
)
IMAGE = Kind(
    "image",
    image_ending,
    ".jpeg",
    frozenset({".jpeg", ".jpg", ".png", ".gif", ".webp", ".avif"}),
)
