"""A session's uploads and downloads, whose code is loaded when it is first needed."""

from typing import TYPE_CHECKING, Any

from suno_async.arrivals import Arrivals
from suno_async.clock import Clock
from suno_async.errors import InvalidRequest

if TYPE_CHECKING:
    from suno_async.media import Media


def check_user_agent(value: object) -> None:
    """Refuse what is neither None nor what a header can hold.

    Raises:
        InvalidRequest: It is not.
    """
    fits = isinstance(value, str) and value.strip() and value.isascii() and value.isprintable()
    if value is not None and not fits:
        raise InvalidRequest("user_agent", value, "must be printable ASCII")


class Transfers:
    """Makes `Media` for a session when it first moves audio, which many sessions never do.

    Args:
        clock: Where time comes from.
        settings: The other arguments of `Media`.

    Attributes:
        arrivals: Is told what becomes complete, also before there is a `Media`.
    """

    def __init__(self, clock: Clock, **settings: Any) -> None:
        self.arrivals: Arrivals = Arrivals(clock)
        self._clock = clock
        self._settings = settings
        self._media: Media | None = None

    async def media(self) -> "Media":
        """Give the one `Media`, entered."""
        if self._media is None:
            from suno_async.media import Media  # a third of the time that the session's import took

            media = Media(clock=self._clock, arrivals=self.arrivals, **self._settings)
            self._media = media
            await media.__aenter__()  # it waits for nothing, so that nobody sees it half entered
        return self._media

    async def aclose(self) -> None:
        """Leave what was entered; again, it does nothing."""
        if self._media is not None:
            await self._media.aclose()
