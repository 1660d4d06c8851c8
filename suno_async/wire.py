"""JSON ↔ models: the one converter, the envelope, and every field form that the service uses.

Nothing here does input or output: bytes in, values or exceptions out. The service's own names
(camelCase) live in this file alone. What is new to us never breaks parsing: unknown fields stay in
`TaskDetails.raw`, unknown values become plain text or None.
"""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar, cast

from attrs import field, fields, frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.json import make_converter

from suno_async import errors
from suno_async.errors import (
    ApiError,
    AuthenticationError,
    CallbackRejected,
    InvalidRequest,
    ProtocolError,
    RateLimited,
    SunoError,
    api_error,
)
from suno_async.models import AddInstrumentalRequest, CallbackNotice, TaskDetails, TaskStatus, Track


def _dumps(value: Any, /) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _loads(text: bytes | str, /) -> Any:
    text = text if isinstance(text, str) else text.decode()
    if "\\ud" in text or "\\uD" in text:
        raise ValueError("there may be half a surrogate pair")
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


strict_loads: Callable[[bytes | str], Any] = _loads
strict_dumps: Callable[[Any], bytes] = _dumps
with suppress(ImportError):  # the extra `speed`
    import orjson

    strict_loads, strict_dumps = orjson.loads, orjson.dumps


def loads(text: bytes | str) -> Any:
    """Read JSON, and forgive what cost no information that matters.

    A paid task must not be lost over half an emoji: lone surrogates and bytes that are no UTF-8
    become U+FFFD, and NaN becomes null.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested absurdly deep.
    """
    with suppress(ValueError):
        return strict_loads(text)
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    value = json.loads(text, parse_constant=lambda _: None)
    # through UTF-16, where a pair of surrogates is one character and half a pair is an error
    whole = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return json.loads(whole.decode("utf-16-le", "replace"))


def dumps(value: Any) -> bytes:
    """Write JSON; huge integers and lone surrogates, which orjson refuses, as well."""
    try:
        return strict_dumps(value)
    except (TypeError, UnicodeEncodeError):
        return json.dumps(value, separators=(",", ":")).encode()


T = TypeVar("T")

# what is shown of texts from outside
LONGEST_MESSAGE = 2_000
LONGEST_EXCERPT = 1_000


# --- the envelope ---------------------------------------------------------------------------------


def _as_it_is(text: str) -> str:
    return text


@frozen
class Answer:
    """An HTTP answer, as far as this library looks at it.

    Attributes:
        http_status: The status line's number.
        body: The whole body, as it came.
        retry_after: What the header `Retry-After` asked for, or None.
        scrub: Takes the key out of what is going to be shown of the answer.
    """

    http_status: int
    body: bytes
    retry_after: timedelta | None = None
    scrub: Callable[[str], str] = field(default=_as_it_is, eq=False, repr=False)


@frozen
class Envelope:
    """What is in an answer, whether or not it is the service's.

    Attributes:
        code: The service's code; None when the answer is something else.
        message: What it says, the key taken out; "" when it says nothing.
        data: The service's `data`.
        reason: Why there is no code; "" when there is one.
    """

    code: int | None
    message: str = ""
    data: Any = None
    reason: str = ""


def read_envelope(answer: Answer) -> Envelope:
    """Take an answer apart; raises nothing, whatever it is."""
    try:
        posted = loads(answer.body)
    except (ValueError, RecursionError):
        return Envelope(None, reason="not JSON")
    if not isinstance(posted, dict):
        return Envelope(None, reason="no object")
    said = cast("dict[str, Any]", posted)
    code = _integer(said.get("code"))
    message = answer.scrub(_said(said))
    if code is None:
        return Envelope(None, message, said.get("data"), "no envelope with a code")
    return Envelope(code, message, said.get("data"))


def _said(posted: Mapping[str, Any]) -> str:
    """Find the text of an answer: the service's own, or where gateways and frameworks put it."""
    for name in ("msg", "message", "detail", "error", "title"):
        said = posted.get(name)
        if isinstance(said, dict | list) and said:
            return dumps(said).decode(errors="replace")[:LONGEST_MESSAGE]
        if (text := _text(said)) is not None:
            return text[:LONGEST_MESSAGE]
    return ""


def read_data(answer: Answer) -> Any:
    """Take `data` out of an envelope whose code is 200.

    The code in the body is the verdict, whatever the HTTP status (spec). An answer without an
    envelope comes from a gateway: a 4xx is a refusal with that code, anything else is unreadable.

    Raises:
        ApiError: The service, or a gateway with a 4xx, refused.
        ProtocolError: There is no envelope, and the HTTP status does not say what happened.
    """
    envelope = read_envelope(answer)
    if envelope.code != 200:
        raise refusal(answer, envelope)
    return envelope.data


def refusal(answer: Answer, envelope: Envelope) -> SunoError:
    """Build the error that stands for an answer which is not what was hoped for."""
    status = answer.http_status
    if envelope.code is not None and envelope.code != 200:
        text = envelope.message or "no message"
        return api_error(envelope.code, text, status, answer.retry_after)
    # 408 is a gateway that lost patience: it does not say what became of the request
    if envelope.code is None and 400 <= status < 500 and status != 408:
        text = envelope.message or f"HTTP {status} without the service's envelope"
        return api_error(status, text, status, answer.retry_after, gateway=True)
    reason = envelope.reason or "no task id in the answer"
    return unreadable(answer, f"{reason}: {envelope.message}" if envelope.message else reason)


def _has_envelope(answer: Answer) -> bool:
    return read_envelope(answer).code is not None


def unreadable(answer: Answer, reason: str) -> ProtocolError:
    """Describe an answer that does not hold what it must."""
    # scrubbed before it is cut, so that no half of a key is left
    excerpt = answer.scrub(answer.body[:LONGEST_EXCERPT].decode(errors="replace"))
    return ProtocolError(reason, answer.http_status, excerpt[:200], answer.retry_after)


def find_task_id(answer: Answer) -> str | None:
    """Find the task id in the answer to a submission, whatever else the answer says.

    It is looked for where the service puts it, then at the top, then one level deeper.
    """
    try:
        posted = loads(answer.body)
    except (ValueError, RecursionError):
        return None
    top = _object(posted)
    data = _object(top.get("data"))
    for place in (data, top, *map(_object, (*data.values(), *top.values()))):
        task_id = _text(place.get("taskId")) or _text(place.get("task_id"))
        if task_id is not None and task_id.strip():
            return task_id
    return None


def read_details(answer: Answer, task_id: str) -> TaskDetails | None:
    """Take the task's details out of an answer of record-info; None when there is no record.

    A gateway's 403 or 404 says nothing about a task, which may be paid for: it is unreadable.

    Raises:
        ApiError: The service refused, or a gateway did for the key or for calling too often.
        ProtocolError: There are no details in it.
    """
    try:
        data = read_data(answer)
    except ApiError as error:
        if isinstance(error, AuthenticationError | RateLimited) or _has_envelope(answer):
            raise
        raise unreadable(answer, "a gateway's word on a task") from error
    if data is None:
        return None
    if not isinstance(data, dict):
        raise unreadable(answer, "the details are no object")
    return details_from(cast("dict[str, Any]", data), task_id)


def read_credits(answer: Answer) -> float:
    """Take the balance out of the answer to a question for credits.

    Raises:
        ApiError: The service refused.
        ProtocolError: The answer has no balance.
    """
    data = read_data(answer)
    balance = _number(data)
    if balance is None:
        raise unreadable(answer, "the balance is no number")
    return int(balance) if balance.is_integer() else balance


def read_upload_url(answer: Answer) -> str:
    """Take the URL of an uploaded file out of the answer.

    Raises:
        ApiError: The service refused.
        ProtocolError: The answer has no URL.
    """
    data = read_data(answer)
    url = _text(data.get("downloadUrl")) if isinstance(data, dict) else None
    if url is None:
        raise unreadable(answer, "no download URL in the answer")
    return url


# --- lenient readers of single values -------------------------------------------------------------


def _text(value: object, _: object = None) -> str | None:
    """Read text; what is absent, empty or not a scalar is None."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _integer(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _number(value: object, _: object = None) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _moment(value: object, _: object = None) -> datetime | None:
    """Read a time: `2025-01-01 00:00:00` (taken as UTC), ISO 8601, or epoch milliseconds (seen)."""
    number = _number(value)
    try:
        if number is not None:
            return datetime.fromtimestamp(number / 1000, UTC)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return None


def _error_code(value: object, _: object = None) -> int | str | None:
    number = _integer(value)
    return number if number is not None else _text(value)


def _status(value: object, _: object = None) -> TaskStatus | str:
    text = _text(value)
    if text is None:
        return TaskStatus.PENDING
    try:
        return TaskStatus(text.upper())
    except ValueError:
        return text


def _object(value: object) -> dict[str, Any]:
    """Read an object that may have been sent as a JSON string (seen); anything else is empty."""
    if isinstance(value, str):
        try:
            value = loads(value)
        except (ValueError, RecursionError):
            return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


# --- the converter --------------------------------------------------------------------------------

converter: Converter = make_converter()


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


# docs: the original CDN's URLs come under these names too; the plain one is preferred
_SOURCES = ("audio_url", "stream_audio_url", "image_url")
_TRACK_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    a.name: (a.name, _camel(a.name))
    + ((f"source_{a.name}", _camel(f"source_{a.name}")) if a.name in _SOURCES else ())
    for a in fields(Track)
}


def _canonical_track(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: next((item[key] for key in spellings if item.get(key) not in (None, "")), None)
        for name, spellings in _TRACK_SPELLINGS.items()
    }


_track_of_canonical = make_dict_structure_fn(
    Track,
    converter,
    **{
        a.name: override(
            struct_hook={"create_time": _moment, "duration": _number}.get(a.name, _text)
        )
        for a in fields(Track)
    },  # type: ignore[arg-type]  # cattrs types its keyword arguments as flags first
)


def _tracks(items: object) -> tuple[Track, ...]:
    if not isinstance(items, list | tuple):
        return ()
    listed = cast("Iterable[object]", items)
    return tuple(_track(item) for item in listed if isinstance(item, dict))


def _track(item: Any, _: object = None) -> Track:
    return _track_of_canonical(_canonical_track(item), Track)


converter.register_structure_hook(Track, _track)


def details_from(data: dict[str, Any], task_id: str) -> TaskDetails:
    """Build details from the service's `data`, whichever of its forms it has."""
    response = _object(data.get("response"))
    return TaskDetails(
        task_id=_text(data.get("taskId")) or _text(response.get("taskId")) or task_id,
        status=_status(data.get("status")),
        tracks=_tracks(response.get("sunoData") or response.get("suno_data")),
        error_code=_error_code(data.get("errorCode")),
        error_message=_text(data.get("errorMessage")),
        type=_text(data.get("type")),
        operation_type=_text(data.get("operationType")),
        raw=data,
    )


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
    data = _object(posted.get("data"))
    task_id = _text(data.get("task_id")) or _text(data.get("taskId"))
    if task_id is None:
        raise CallbackRejected("no task id in it")
    kind = _text(data.get("callbackType")) or _text(data.get("callback_type")) or ""
    kind = kind.lower()
    if hmac_key is not None:
        moment = now or datetime.now(UTC)
        signature = _checked_signature(headers or {}, task_id, hmac_key, moment)
        if replays is not None and not replays.is_new(signature, kind, moment):
            raise CallbackRejected("it was received before", unsigned=True)
    code = _integer(posted.get("code"))
    return CallbackNotice(
        kind=kind,
        task_id=task_id,
        code=200 if code is None else code,
        message=_text(posted.get("msg")) or _text(posted.get("message")),
        tracks=_tracks(data.get("data")),
        raw=cast("dict[str, Any]", posted),
    )


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
    seconds = _number(timestamp)
    if seconds is None or abs(now.timestamp() - seconds) > SIGNATURE_AGE.total_seconds():
        raise CallbackRejected("its signature is not of these minutes", unsigned=True)
    return signature


converter.register_structure_hook(TaskStatus | str, _status)
converter.register_structure_hook(int | str | None, _error_code)

_request_to_wire = make_dict_unstructure_fn(
    AddInstrumentalRequest,
    converter,
    _cattrs_omit_if_default=True,
    upload_url=override(rename="uploadUrl"),
    negative_tags=override(rename="negativeTags"),
    vocal_gender=override(rename="vocalGender"),
    style_weight=override(rename="styleWeight"),
    weirdness_constraint=override(rename="weirdnessConstraint"),
    audio_weight=override(rename="audioWeight"),
    callback_url=override(rename="callBackUrl"),
)


def request_body(request: AddInstrumentalRequest, callback_url: str) -> bytes:
    """Write the body of a submission; what was not given is left out, never null (spec)."""
    return dumps({"callBackUrl": callback_url, **_request_to_wire(request)})


def _request(data: Any, _: object) -> AddInstrumentalRequest:
    if not isinstance(data, Mapping):
        raise InvalidRequest("request", data, "must be an object")
    given = cast("Mapping[str, Any]", data)
    known = {a.name: a.default for a in fields(AddInstrumentalRequest)}
    for name in given:
        if name not in known:
            rule = f"is not a field of a request, which are {', '.join(known)}"
            raise InvalidRequest(name, given[name], rule)
    for name in ("upload_url", "title", "tags", "negative_tags"):
        if name not in given:
            raise InvalidRequest(name, None, "is required")
    return AddInstrumentalRequest(**given)


converter.register_structure_hook(AddInstrumentalRequest, _request)

_ERROR_CLASSES: Mapping[str, type[SunoError]] = {
    name: cls
    for name, cls in vars(errors).items()
    if isinstance(cls, type) and issubclass(cls, SunoError)
}


def _is_error(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, SunoError)


def _error_to_json(error: SunoError) -> dict[str, Any]:
    stored = converter.unstructure_attrs_asdict(error)
    if isinstance(error, InvalidRequest) and not isinstance(error.value, str | int | float | None):
        stored["value"] = repr(error.value)
    return {"error": type(error).__name__, **stored}


def _error_from_json(stored: Any, expected: type[SunoError]) -> SunoError:
    given = dict(stored)
    cls = _ERROR_CLASSES[given.pop("error")]
    if not issubclass(cls, expected):
        raise TypeError(f"{cls.__name__} is no {expected.__name__}")
    return converter.structure_attrs_fromdict(given, cls)


converter.register_unstructure_hook_func(_is_error, _error_to_json)
converter.register_structure_hook_func(_is_error, _error_from_json)
converter.register_unstructure_hook(timedelta, lambda value: value.total_seconds())
converter.register_structure_hook(timedelta, lambda value, _: timedelta(seconds=value))


def to_json(value: Any) -> str:
    """Write a request, details, an event, an outcome or another value of this library as JSON.

    Names are those of the attributes, times are ISO 8601, an error is an object whose `error` is
    the name of its class. `from_json` reads it back.

    Returns:
        One line of text, for a file or a database.
    """
    return dumps(converter.unstructure(value)).decode()


def from_json(text: str | bytes, cls: type[T]) -> T:
    """Read what `to_json` wrote.

    Args:
        text: The JSON.
        cls: The class of the value, such as `AddInstrumentalRequest`.

    Raises:
        InvalidRequest: It is not the JSON of such a value.
    """
    rule = f"must be the JSON of a value of class {cls.__name__}"
    try:
        return converter.structure(loads(text), cls)
    except InvalidRequest:
        raise
    except (ValueError, TypeError, KeyError, BaseValidationError, RecursionError) as error:
        raise InvalidRequest("text", text, rule) from error
