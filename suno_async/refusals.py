"""The codes with which the service and its gateways refuse, as errors."""

import re
from datetime import timedelta

from suno_async.errors import (
    ApiError,
    AuthenticationError,
    Conflict,
    InsufficientCredits,
    Maintenance,
    NotFound,
    RateLimited,
    ServerError,
    SourceUnavailable,
    ValidationFailed,
)

# spec: codes of the submission; upstream: 400, 405, 413, 430
_CLASS_OF_CODE: dict[int, type[ApiError]] = {
    400: ValidationFailed,
    401: AuthenticationError,
    402: InsufficientCredits,
    404: NotFound,
    405: RateLimited,
    409: Conflict,
    413: ValidationFailed,
    422: ValidationFailed,
    429: RateLimited,
    430: RateLimited,
    451: SourceUnavailable,
    455: Maintenance,
}

# with these a gateway means something else than the service does
_OF_THE_SERVICE_ALONE = frozenset({402, 405, 430, 455})

# upstream: 429 stands for missing credits as well; vendors of other countries resell the service
_CREDITS = re.compile(
    r"\b(?:credits?|balance|funds|payment|top[ -]?up|recharge)\b"
    r"|баланс|кредит|средств|余额|积分|餘額|積分",
    re.IGNORECASE,
)


def speaks_of_credits(message: str) -> bool:
    """Tell whether a refusal's text is about what the account can pay."""
    return _CREDITS.search(message) is not None


def api_error(
    code: int,
    message: str,
    http_status: int | None = None,
    retry_after: timedelta | None = None,
    *,
    gateway: bool = False,
) -> ApiError:
    """Build the error that stands for a code of the service, or for a gateway's HTTP status."""
    cls = _CLASS_OF_CODE.get(code, ServerError if 500 <= code <= 599 else ApiError)
    if code == 429 and speaks_of_credits(message):
        cls = InsufficientCredits
    elif gateway and code in _OF_THE_SERVICE_ALONE:
        cls = ApiError
    if issubclass(cls, RateLimited | Maintenance | ServerError):
        error: ApiError = cls(code, message, http_status, None, retry_after)
    else:
        error = cls(code, message, http_status)
    error.gateway = gateway
    return error
