"""The addresses of a track's files, signed if the dialect has it so."""

import base64
import hashlib
import re

from attrs import frozen

from suno_async.sandbox.tasks import SandboxTask

MEDIA_PATH = "/cdn"
# Escapes that need not be, in both cases, beside characters that could be escaped and are not:
# whoever writes such a URL anew changes the signature.
_BUCKET = "/my%2Fsongs%27"
_KEY = "Key-Pair-Id=K%7e~%2f%27'!*"
_TARGET = re.compile(
    r"/cdn(?:/my(?:%2F|/)songs(?:%27|'))?(/source)?(/stream)?/([0-9a-f]+)\.(wav|png)(?:\?.*)?",
    re.IGNORECASE,
)


@frozen
class Address:
    """Which file of which track.

    Args:
        track_id: The track.
        ending: `wav` or `png`.
        source: Whether it is on the original host.
        stream: Whether it is the stream.
    """

    track_id: str
    ending: str = "wav"
    source: bool = False
    stream: bool = False

    @classmethod
    def read(cls, target: str) -> "Address | None":
        """Read path and query of a request, however they are signed."""
        match = _TARGET.fullmatch(target)
        if match is None:
            return None
        source, stream, track_id, ending = match.groups()
        return cls(track_id, ending, source is not None, stream is not None)

    def target(self, task: SandboxTask) -> str:
        """Write path and query, byte for byte as the task's records have them."""
        folders = ("/source" if self.source else "") + ("/stream" if self.stream else "")
        name = f"{folders}/{self.track_id}.{self.ending}"
        if not task.dialect.signed_urls:
            return MEDIA_PATH + name
        expires = int(task.submitted_at.timestamp())
        digest = hashlib.sha256(f"{name} {expires}".encode()).digest()
        signature = base64.b64encode(digest).decode()
        for character, escape in (("/", "%2F"), ("+", "%2B"), ("=", "%3D")):
            signature = signature.replace(character, escape)
        return f"{MEDIA_PATH}{_BUCKET}{name}?Issued={expires}&Signature={signature}&{_KEY}"
