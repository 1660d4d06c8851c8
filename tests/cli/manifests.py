"""Manifests for tests."""

from pathlib import Path
from typing import Any

from suno_async.cli.manifest import Manifest, Row, read_manifest

COMMON: dict[str, Any] = {
    "tags": "piano",
    "negative_tags": "metal",
    "upload_url": "https://example.com/a.wav",
}


def read(
    folder: Path,
    name: str,
    content: str | bytes,
    defaults: dict[str, Any] | None = None,
    encoding: str | None = None,
) -> Manifest:
    """Write a manifest and read it."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_manifest(path, COMMON if defaults is None else defaults, encoding=encoding)


def summary(manifest: Manifest) -> list[tuple[str, str]]:
    """Tell where each row stands, and its title or what is wrong with it."""
    return [
        (row.source, row.title if isinstance(row, Row) else row.reason)
        for row in manifest.all_rows()
    ]


def titles(manifest: Manifest) -> list[str]:
    """List the titles of the good rows."""
    return [row.title for row in manifest.rows]


def reasons(manifest: Manifest) -> list[str]:
    """List what is wrong with the bad rows."""
    return [problem.reason for problem in manifest.problems]
