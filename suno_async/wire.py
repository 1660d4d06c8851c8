"""JSON ↔ models: the one converter, the envelope, and every field form that the service uses.

Nothing here does input or output: bytes in, values or exceptions out. The service's own names
(camelCase) live in this file alone. What is new to us never breaks parsing: unknown fields stay in
`TaskDetails.raw`, unknown values become plain text or None.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from attrs import field, fields, frozen
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from suno_async.errors import (
    ApiError,
    AuthenticationError,
    CallbackRejected,
    ProtocolError,
    RateLimited,
    SunoError,
)
from suno_async.models import AddInstrumentalRequest, CallbackNotice, TaskDetails, TaskStatus, Track
from suno_async.refusals import api_error

T = TypeVar("T")


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
    become U+FFFD, NaN and numbers of thousands of digits become null.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested absurdly deep.
    """
    with suppress(ValueError):
        return strict_loads(text)
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    value = json.loads(text, parse_constant=lambda _: None, parse_int=_short_integer)
    # through UTF-16, where a pair of surrogates is one character and half a pair is an error
    whole = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return json.loads(whole.decode("utf-16-le", "replace"))


def _short_integer(digits: str) -> int | None:
    try:
        return int(digits)
    except ValueError:  # Python's own limit
        return None


def dumps(value: Any) -> bytes:
    """Write JSON; huge integers and lone surrogates, which orjson refuses, as well."""
    try:
        return strict_dumps(value)
    except (TypeError, UnicodeEncodeError):
        return json.dumps(value, separators=(",", ":")).encode()


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
    body: bytes = field(repr=False)  # it may echo the key, and loggers show locals
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
    data: Any = field(default=None, repr=False)
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
            with suppress(RecursionError):  # what can be read may be too deep to be written
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
    for place in _places(_inside(posted)):
        task_id = _text(place.get("taskId")) or _text(place.get("task_id"))
        if task_id is not None and task_id.strip():
            return task_id
    return None


def _places(top: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give the objects of an answer in the order in which they are asked; most end at the first."""
    data = [inner for place in top for inner in _inside(place.get("data"))]
    yield from data
    yield from top
    for place in (*data, *top):
        for value in place.values():
            yield from _inside(value)


def _inside(value: object) -> list[dict[str, Any]]:
    """List the objects that a value is or holds: itself, its items, or what its text holds."""
    found = _parsed(value)
    items = cast("list[object]", found) if isinstance(found, list) else [found]
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


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
        del data  # see read_credits
        raise unreadable(answer, "the details are no object")
    return details_from(cast("dict[str, Any]", data), task_id)


def read_credits(answer: Answer) -> float:
    """Take the balance out of the answer to a question for credits.

    Raises:
        ApiError: The service refused.
        ProtocolError: The answer has no balance.
    """
    data = read_data(answer)
    balance = _number(data.get("credits") if isinstance(data, dict) else data)
    if balance is None:
        del data  # an echo of the key may be in it, and loggers show locals
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
        del data  # see read_credits
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
    if isinstance(value, int) and not isinstance(value, bool):
        return value  # also one that is too large for a float
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
        return TaskStatus(text.strip().upper())
    except ValueError:
        return text


def _parsed(value: object) -> object:
    """Read what may have been sent as JSON in a string (seen); what is no JSON is None."""
    if not isinstance(value, str):
        return value
    try:
        return loads(value)
    except (ValueError, RecursionError):
        return None


def _first(read: Callable[[object], T | None], names: Iterable[str], *holders: object) -> T | None:
    """Take the first value that says something, under any of its names, in any of its places."""
    for holder in holders:
        if isinstance(holder, dict):
            given = cast("dict[str, object]", holder)
            for name in names:
                value = given.get(name)
                if value is not None and (told := read(value)) is not None:
                    return told
    return None


# --- the converter --------------------------------------------------------------------------------

converter: Converter = Converter(detailed_validation=False)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)


# seen: each field in either spelling
_TRACK_FIELDS: Mapping[str, str] = {
    spelling: a.name for a in fields(Track) for spelling in (_camel(a.name), a.name)
}
_TRACK_IDS = ("audioId", "audio_id")


def _canonical_track(item: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for spelling, value in item.items():
        name = _TRACK_FIELDS.get(spelling)
        if name is not None and value is not None and value != "":
            given.setdefault(name, value)
    if "id" not in given:
        given["id"] = _first(_text, _TRACK_IDS, item)
    return given


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


# docs, and seen: where the list of tracks is, when it is not the value itself
_LISTS = ("sunoData", "suno_data", "data")
_TASK_IDS = ("taskId", "task_id")
_ERROR_CODES = ("errorCode", "error_code")
_ERROR_TEXTS = ("errorMessage", "errorMsg", "error_message", "error_msg")
_TEXTS = ("msg", "message")


def _tracks(*places: object) -> tuple[Track, ...]:
    """Read the list of tracks: one of the places itself, or under one of its names in one."""
    for place in places:
        if isinstance(place, list) and (found := _listed(place)):
            return found
    return _first(_listed, _LISTS, *places) or ()


def _listed(items: object) -> tuple[Track, ...] | None:
    items = _parsed(items)
    if not isinstance(items, list):
        return None
    listed = cast("list[object]", items)
    return tuple(_track(item) for item in listed if isinstance(item, dict)) or None


def _track(item: Any, _: object = None) -> Track:
    return _track_of_canonical(_canonical_track(item), Track)


def details_from(data: dict[str, Any], task_id: str) -> TaskDetails:
    """Build details from the service's `data`, whichever of its forms it has."""
    response = _parsed(data.get("response"))
    code = cast("int | str | None", _first(_error_code, _ERROR_CODES, data, response))
    return TaskDetails(
        task_id=_first(_text, _TASK_IDS, data, response) or task_id,
        status=_status(data.get("status")),
        tracks=_tracks(response, data),
        error_code=code,
        error_message=_first(_text, _ERROR_TEXTS, data, response),
        type=_text(data.get("type")),
        operation_type=_first(_text, ("operationType", "operation_type"), data),
        raw=data,
    )


def notice_from(posted: dict[str, Any]) -> CallbackNotice:
    """Build what a callback says from its body, whichever of its forms it has.

    Raises:
        CallbackRejected: It names no task.
    """
    data = _parsed(posted.get("data"))
    task_id = _first(_text, _TASK_IDS, data, posted)
    if task_id is None:
        raise CallbackRejected("no task id in it")
    kind = _first(_text, ("callbackType", "callback_type"), data, posted) or ""
    code = _integer(posted.get("code"))
    return CallbackNotice(
        kind=kind.strip().lower(),
        task_id=task_id,
        code=200 if code is None else code,
        message=_first(_text, _TEXTS, posted),
        tracks=_tracks(data),
        raw=posted,
    )


# --- the request ----------------------------------------------------------------------------------

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
