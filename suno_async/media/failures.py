"""How a transfer fails: for now, or for good."""

import aiohttp

from suno_async.errors import (
    ApiError,
    ConnectionFailed,
    ProtocolError,
    RateLimited,
    ServerError,
    SunoError,
    UnexpectedError,
    said,
)
from suno_async.proxy import failure_of_proxy


class Fatal(Exception):
    """Carries an error after which asking the same URL again is useless.

    Attributes:
        error: What the caller gets.
    """

    def __init__(self, error: SunoError) -> None:
        super().__init__(error)
        self.error = error


def passes(error: SunoError) -> bool:
    """Tell whether a failure of a media host may be gone at the next try."""
    if isinstance(error, ApiError):
        return isinstance(error, RateLimited | ServerError) or error.code in {408, 425}
    return isinstance(error, ConnectionFailed | ProtocolError)


def is_absence(error: SunoError) -> bool:
    """Tell whether a host says what hosts also say of audio that was finished a moment ago."""
    return isinstance(error, ApiError) and error.code in {403, 404}


def translated(error: Exception) -> ConnectionFailed | Fatal:
    """Make whatever an HTTP library raises one of our errors."""
    reason = said(error) or ("timed out" if isinstance(error, TimeoutError) else repr(error))
    # UnicodeError: names that cannot be looked up; the others: URLs that cannot be asked for
    if isinstance(error, ValueError | aiohttp.InvalidURL):
        return Fatal(ConnectionFailed(f"the URL cannot be asked for: {reason}", request_sent=False))
    if (by_proxy := failure_of_proxy(error)) is not None:
        return ConnectionFailed(by_proxy, request_sent=False)
    if isinstance(error, aiohttp.ClientResponseError):
        return ConnectionFailed(f"HTTP {error.status}: {error.message}")
    if isinstance(error, aiohttp.ClientError | OSError):
        never_sent = isinstance(error, aiohttp.ClientConnectorError)
        return ConnectionFailed(reason, not never_sent)
    return Fatal(UnexpectedError(f"{type(error).__name__}: {reason}"))
