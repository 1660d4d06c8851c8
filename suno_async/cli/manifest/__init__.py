"""Files that list many songs: CSV, TSV, JSON, JSON Lines, TOML and Excel workbooks."""

from suno_async.cli.manifest.reader import read_manifest
from suno_async.cli.manifest.rows import Manifest, Problem, Row

__all__ = ["Manifest", "Problem", "Row", "read_manifest"]
