"""Audio in and out: upload a stem, download the tracks as whole files."""

from suno_async.media.client import check_user_agent
from suno_async.media.media import MAX_BYTES, Media
from suno_async.media.names import file_name
from suno_async.media.uploads import Stem

__all__ = ["MAX_BYTES", "Media", "Stem", "check_user_agent", "file_name"]
