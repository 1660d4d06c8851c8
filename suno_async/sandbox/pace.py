"""Sessions that are as fast as the sandbox they talk to."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from suno_async.clock import Clock

if TYPE_CHECKING:
    from suno_async.session import SunoSession

# how often tasks are looked at where the service has its own pace; docs: every 30 s is advised,
# clients that show progress take a few seconds
_INTERVAL_S = 3.0
# as good as no limit
_NO_WINDOW = (10_000, 1.0)


class Service(Protocol):
    """What a session must know of a sandbox."""

    api_key: str
    clock: Clock

    @property
    def base_url(self) -> str:
        """The address of the API."""
        ...


@frozen
class Pace:
    """How fast a sandbox is.

    Args:
        time_scale: Multiplies the times of tasks.
        submissions_per_window: How many submissions it takes in how many seconds, if limited.
        max_running: How many tasks it runs at a time, if limited.
    """

    time_scale: float
    submissions_per_window: tuple[int, float] | None
    max_running: int | None

    def session(self, service: Service, settings: Mapping[str, Any]) -> "SunoSession":
        """Make a session at this pace."""
        # the sandbox must load for those who write tests without any session
        from suno_async.cadence import FixedInterval
        from suno_async.session import SunoSession

        usual: dict[str, Any] = {
            "api_key": service.api_key,
            "base_url": service.base_url,
            "clock": service.clock,
        }
        if "limits" not in settings:
            usual["submissions_per_window"] = self.submissions_per_window or _NO_WINDOW
        if self.max_running is not None:
            usual["max_in_flight"] = self.max_running
        if self.time_scale < 1:
            usual["cadence"] = FixedInterval(_INTERVAL_S * self.time_scale)
        return SunoSession(**{**usual, **settings})
