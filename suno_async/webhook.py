"""A callback's body and signature, for whoever receives callbacks."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, cast

from suno_async.errors import CallbackRejected, InvalidRequest
from suno_async.models import CallbackNotice
from suno_async.wire import loads, notice_from

# upstream: the headers of a signed callback
TIMESTAMP_HEADER = "x-webhook-timestamp"
SIGNATURE_HEADER = "x-webhook-signature"
SIGNATURE_AGE = timedelta(minutes=5)


class ReplayGuard:
    """Remembers signed callbacks until their signatures are too old to be accepted again.

    Args:
        limit: How many to remember at the most; beyond it, the oldest are forgotten.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._seen: dict[bytes, datetime] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def is_new(self, signature: str, kind: str, now: datetime) -> bool:
        """Tell whether a callback of this kind has not come with this signature; remember it.

        The rest of the body is not asked: a space more would make it another one.
        """
        for key, seen_at in list(islice(self._seen.items(), 2)):
            if now - seen_at > 2 * SIGNATURE_AGE or len(self._seen) >= self._limit:
                del self._seen[key]
        key = hashlib.sha256(f"{signature} {kind}".encode(errors="replace")).digest()
        if key in self._seen:
            return False
        self._seen[key] = now
        return True


def parse_callback(
    body: bytes | str,
    headers: Mapping[str, str] | None = None,
    *,
    hmac_key: str | bytes | None = None,
    now: datetime | None = None,
    replays: ReplayGuard | None = None,
) -> CallbackNotice:
    """Read a callback that was posted to your own webhook, in any of the service's forms.

    Nothing proves who sent a callback (the specification has no signature). One upstream provider
    signs the task id and a timestamp. With `hmac_key` that signature is demanded, compared in
    constant time, and may be 5 minutes old or early. **It does not cover the body**: whoever saw
    one signed callback can send another stage, other tracks or other URLs under it for 5 minutes.
    So even then, ask `SunoSession.details` before you believe a callback.

    Args:
        body: The body as it came.
        headers: The request's headers, in any case; needed for the signature alone.
        hmac_key: The key that the signatures are made with; None accepts unsigned callbacks.
        now: The present (aware); None takes the machine's clock.
        replays: With `hmac_key`: where to remember what was accepted, so that a callback is
            accepted once. Keep one as long as your service runs.

    Raises:
        CallbackRejected: It is no callback, or its signature is missing, wrong, too old or reused.
        InvalidRequest: `hmac_key` is empty: everybody could sign with it.
    """
    if hmac_key is not None and not hmac_key:
        raise InvalidRequest("hmac_key", "(hidden)", "must not be empty")
    try:
        posted = loads(body)
    except (ValueError, RecursionError) as error:
        raise CallbackRejected("not JSON") from error
    if not isinstance(posted, dict):
        raise CallbackRejected("not an object")
    notice = notice_from(cast("dict[str, Any]", posted))
    if hmac_key is not None:
        moment = now or datetime.now(UTC)
        signature = _checked_signature(headers or {}, notice.task_id, hmac_key, moment)
        if replays is not None and not replays.is_new(signature, notice.kind, moment):
            raise CallbackRejected("it was received before", unsigned=True)
    return notice


def _checked_signature(
    headers: Mapping[str, str], task_id: str, key: str | bytes, now: datetime
) -> str:
    given = {name.lower(): value for name, value in headers.items()}
    timestamp, signature = given.get(TIMESTAMP_HEADER, ""), given.get(SIGNATURE_HEADER, "")
    secret = key.encode() if isinstance(key, str) else key
    # aiohttp reads a header that is no UTF-8 as half pairs of surrogates
    signed = f"{task_id}.{timestamp}".encode(errors="replace")
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest())
    if not hmac.compare_digest(expected, signature.encode(errors="replace")):
        raise CallbackRejected("its signature is missing or wrong", unsigned=True)
    if not _is_of_these_minutes(timestamp, now):
        raise CallbackRejected("its signature is not of these minutes", unsigned=True)
    return signature


def _is_of_these_minutes(timestamp: str, now: datetime) -> bool:
    try:
        age_s = abs(now.timestamp() - float(timestamp))
    except ValueError:
        return False
    return age_s <= SIGNATURE_AGE.total_seconds()  # nan is not
