"""Uploaded files: kept in memory, gone after their time."""

import mimetypes
from collections import OrderedDict
from datetime import datetime, timedelta
from urllib.parse import quote

from attrs import frozen

from suno_async.clock import Clock
from suno_async.sandbox.bodies import SentFile
from suno_async.sandbox.validation import Refusal, is_text


@frozen
class Upload:
    """One uploaded file."""

    path: str
    data: bytes
    mime_type: str
    uploaded_at: datetime


class UploadStore:
    """Keep uploads by path; a path that is used again is overwritten.

    Args:
        clock: Tells the time of uploads and when they are gone.
        retention: How long they are kept.
    """

    def __init__(self, clock: Clock, retention: timedelta) -> None:
        self._clock = clock
        self._retention = retention
        self._uploads: OrderedDict[str, Upload] = OrderedDict()

    def get(self, path: str) -> Upload | None:
        """Find an upload that has not expired."""
        self._expire()
        return self._uploads.get(path)

    def put(self, sent: SentFile) -> Upload:
        """Keep a file.

        Raises:
            Refusal: 422 for a folder or a name that can not be.
        """
        folder, name = sent.folder, sent.name or f"{len(sent.data)}.bin"
        if not is_text(folder) or not is_text(name):
            raise Refusal(422, "uploadPath and fileName: must be valid Unicode")
        if not folder or folder != folder.strip("/") or _climbs(folder):
            raise Refusal(422, "uploadPath: must be a folder without leading or trailing slash")
        if "/" in name or _climbs(name):
            raise Refusal(422, "fileName: must be a plain file name")
        self._expire()
        path = f"{folder}/{name}"
        guessed = mimetypes.guess_type(name)[0] or _kind(sent.mime_type)
        upload = Upload(path, sent.data, guessed, self._clock.now())
        self._uploads[path] = upload
        self._uploads.move_to_end(path)
        return upload

    def _expire(self) -> None:
        """Forget what is too old; the oldest come first."""
        limit = self._clock.now() - self._retention
        while self._uploads:
            path, oldest = next(iter(self._uploads.items()))
            if oldest.uploaded_at > limit:
                return
            del self._uploads[path]


def _kind(named: str | None) -> str:
    """Take the sender's word for a file's type if it can stand in a header."""
    usable = named and named.isascii() and named.isprintable()
    return named if named and usable else "application/octet-stream"


def _climbs(path: str) -> bool:
    return any(part in {"", ".", ".."} for part in path.split("/")) or "\\" in path


def describe(upload: Upload, files_url: str) -> dict[str, object]:
    """Write the data of an upload's answer."""
    return {
        "fileName": upload.path.rsplit("/", 1)[-1],
        "filePath": upload.path,
        "downloadUrl": f"{files_url}/{quote(upload.path)}",
        "fileSize": len(upload.data),
        "mimeType": upload.mime_type,
        "uploadedAt": upload.uploaded_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
