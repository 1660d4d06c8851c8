"""Which audio has just become complete: its hosts may not know it yet."""

import math
from collections.abc import Collection, Iterable
from datetime import timedelta

from suno_async.clock import Clock
from suno_async.models import Track

# seen: hosts do not know audio yet for some moments after the service calls it complete
YOUNG = timedelta(minutes=10)

# for so many URLs it is remembered when they became complete
_MOST_REMEMBERED = 10_000


class Arrivals:
    """Remembers URLs that became complete, for as long as it matters.

    Args:
        clock: Where time comes from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._young: dict[str, float] = {}

    def note(self, tracks: Iterable[Track]) -> None:
        """Note that tracks have just become complete."""
        until_s = self._clock.monotonic() + YOUNG.total_seconds()
        for track in tracks:
            for url in (*track.audio_urls, *cover_urls(track)):
                self._young.pop(url, None)
                self._young[url] = until_s
        while len(self._young) > _MOST_REMEMBERED:
            del self._young[next(iter(self._young))]

    def young_until_s(self, urls: Collection[str]) -> float:
        """Tell until when the hosts may not know one of the URLs (monotonic)."""
        return max(self._young.get(url, -math.inf) for url in urls)


def cover_urls(track: Track) -> tuple[str, ...]:
    """List where a track's cover image is, the preferred place first."""
    known = dict.fromkeys((track.image_url, track.source_image_url))
    return tuple(url for url in known if url)
