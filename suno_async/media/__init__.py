"""Audio in and out: upload a stem, download the tracks as whole files."""

from suno_async.media.media import Media
from suno_async.media.names import file_name
from suno_async.media.uploads import Stem

__all__ = ["Media", "Stem", "file_name"]
