"""Our own JSON: `to_json` and `to_dict`, `from_json` and `from_dict`, for values and errors.

Names are those of the attributes. What was written is read back equal; the service's own JSON,
which is forgiven much, is read in `wire` alone.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

from attrs import fields, has
from cattrs import Converter
from cattrs.errors import StructureHandlerNotFoundError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from suno_async.errors import InvalidRequest, SunoError
from suno_async.models import (
    AddInstrumentalRequest,
    CallbackNotice,
    TaskDetails,
    TaskStatus,
    Track,
)

T = TypeVar("T")

# what is nested deeper is left out of `raw`: no JSON library reads every depth back
DEEPEST = 100

converter: Converter = Converter(detailed_validation=False)


# --- single values --------------------------------------------------------------------------------


def _exactly(kind: type[T]) -> Callable[[object, Any], T]:
    """Take what JSON has as it is: `str(None)` and `int("7")` would make up values."""

    def structure(value: object, wanted: Any) -> T:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is no {kind.__name__}")
        # a class of words is one of texts as well, and its members are no plain ones
        return value if wanted is kind else cast("T", wanted(value))

    return structure


for _kind in (str, int, bool):
    converter.register_structure_hook(_kind, _exactly(_kind))


@converter.register_unstructure_hook
def _float_to_json(value: float) -> float | str:
    # what is declared a float may be an integer, and too large for one
    return value if isinstance(value, int) or math.isfinite(value) else str(value)


@converter.register_structure_hook
def _float_from_json(value: object, _: object) -> float:
    if value in ("inf", "-inf", "nan"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value


@converter.register_unstructure_hook
def _datetime_to_json(value: datetime) -> str:
    return value.isoformat()


@converter.register_structure_hook
def _datetime_from_json(value: Any, _: object) -> datetime:
    return datetime.fromisoformat(value)


@converter.register_unstructure_hook
def _timedelta_to_json(value: timedelta) -> float | list[int]:
    """Write seconds; or days, seconds and microseconds where a float is not exact enough."""
    seconds = value.total_seconds()
    if abs(value) < timedelta(days=36_500) and timedelta(seconds=seconds) == value:
        return seconds
    return [value.days, value.seconds, value.microseconds]


@converter.register_structure_hook
def _timedelta_from_json(value: Any, _: object) -> timedelta:
    if isinstance(value, list):
        days, seconds, microseconds = cast("list[float]", value)
        return timedelta(days, seconds, microseconds)
    return timedelta(seconds=_float_from_json(value, float))


converter.register_unstructure_hook(Path, str)
converter.register_structure_hook(Path, lambda value, _: Path(value))


def _status(value: object, _: object) -> TaskStatus | str:
    text = _exactly(str)(value, str)
    return TaskStatus(text) if text in TaskStatus.__members__ else text


def _int_or_text(value: object, _: object) -> int | str | None:
    if value is not None and type(value) not in (int, str):
        raise TypeError(f"{value!r} is neither a number nor text")
    return cast("int | str | None", value)


converter.register_structure_hook_func(lambda kind: kind == TaskStatus | str, _status)
converter.register_structure_hook_func(lambda kind: kind == int | str | None, _int_or_text)


def _plain(value: object, room: int = DEEPEST) -> Any:
    """Copy data for JSON: what it cannot hold becomes text, a number that is none null."""
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(name): _plain(item, room - 1) for name, item in items} if room else None
    if isinstance(value, list | tuple):
        listed = cast("list[object]", value)
        return [_plain(item, room - 1) for item in listed] if room else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return repr(value)


def _object(value: object, _: object = None) -> dict[str, Any]:
    return _exactly(dict)(value, dict)


def _by_code(value: object, _: object) -> dict[int, int]:
    # JSON has no numbers as names
    return {int(code): _exactly(int)(count, int) for code, count in _object(value).items()}


converter.register_structure_hook_func(lambda kind: kind == dict[str, Any], _object)
converter.register_structure_hook_func(lambda kind: kind == Mapping[int, int], _by_code)


# --- our classes ----------------------------------------------------------------------------------


@converter.register_structure_hook_factory(has)
def _structure_class(cls: type[T]) -> Callable[[Any, Any], T]:
    structure = make_dict_structure_fn(cls, converter)
    return lambda value, kind: structure(_object(value), kind)


for _cls in (TaskDetails, CallbackNotice):
    converter.register_unstructure_hook(
        _cls, make_dict_unstructure_fn(_cls, converter, raw=override(unstruct_hook=_plain))
    )


@converter.register_structure_hook
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


# --- errors ---------------------------------------------------------------------------------------

# `errors` lies below the models and cannot name their classes
_MODELS_IN_ERRORS: Mapping[str, Any] = {
    "tracks": tuple[Track, ...],
    "details": TaskDetails | None,
}


def _class_called(name: str) -> type[SunoError]:
    """Find one of this library's classes of errors, those of the rooms that are in use too."""
    known: list[type[SunoError]] = [SunoError]
    for cls in known:
        if cls.__name__ == name and cls.__module__.startswith("suno_async."):
            return cls
        known += cls.__subclasses__()
    raise LookupError(name)


def _is_error(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, SunoError)


def _error_to_json(error: SunoError) -> dict[str, Any]:
    stored: dict[str, Any] = {
        a.name: _as_refused(error.value)
        if isinstance(error, InvalidRequest) and a.name == "value"
        else converter.unstructure(getattr(error, a.name))
        for a in fields(type(error))
    }
    return {"error": type(error).__name__, **stored}


def _as_refused(value: object) -> Any:
    """Give a refused value, or its `repr` when JSON would not give the same one back."""
    try:
        text = _dumps(value)
        # what stands in an error, in an outcome, may not be nested as deep as JSON can be at all
        kept = len(text) < 10_000 and _loads(text) == value and _plain(value) == value
    except (TypeError, ValueError, RecursionError):
        kept = False
    if kept:
        return value
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - it is anybody's class, or a number of 5,000 digits
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _error_from_json(stored: Any, expected: type[SunoError]) -> SunoError:
    given = dict(stored)
    cls = _class_called(given.pop("error"))
    if not issubclass(cls, expected):
        raise TypeError(f"{cls.__name__} is no {expected.__name__}")
    later: dict[str, Any] = {}
    for attribute in fields(cls):
        if attribute.name in given:
            kind = _MODELS_IN_ERRORS.get(attribute.name, attribute.type)
            place = given if attribute.init else later
            place[attribute.name] = converter.structure(given.pop(attribute.name), kind)
    error = cls(**given)
    for name, value in later.items():
        setattr(error, name, value)
    return error


converter.register_unstructure_hook_func(_is_error, _error_to_json)
converter.register_structure_hook_func(_is_error, _error_from_json)


# --- text -----------------------------------------------------------------------------------------


def _dumps(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if text.isascii() or _is_unicode(text):
        return text
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _loads(text: str | bytes) -> Any:
    # not orjson, which makes floats of huge integers
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def to_dict(value: Any) -> dict[str, Any]:
    """Give a request, details, an event, an outcome, an error or another value for JSON.

    In it are dictionaries with text for names, lists, text, numbers, bools and None alone. Names
    are those of the attributes, times are ISO 8601, durations are seconds, an error is a
    dictionary whose `error` is the name of its class. `from_dict` makes the value of it again,
    equal. Of `raw` alone what is nested more than 100 levels deep is left out, and of an
    `InvalidRequest` a value that is no JSON becomes its `repr`. What Python hangs on to an error,
    its `__cause__`, notes and traceback, is not part of it: a cause that is an error of this
    library can be written by itself.

    Raises:
        TypeError: It is no value of this library.
    """
    if not (has(type(value)) or isinstance(value, SunoError)):
        raise TypeError(f"{type(value).__name__} is no value of this library")
    written: dict[str, Any] = _loads(to_json(value))
    return written


def from_dict(data: Mapping[str, Any], cls: type[T]) -> T:
    """Make the value of what `to_dict` gave.

    Args:
        data: What JSON has, as dictionaries, lists and single values.
        cls: The class of the value, such as `AddInstrumentalRequest`.

    Raises:
        InvalidRequest: It is not that of such a value; nothing else is raised.
    """
    return _made(data, cls, lambda: data, "data")


def to_json(value: Any) -> str:
    """Write a request, details, an event, an outcome or another value of this library as JSON.

    It is the JSON of `to_dict`. `from_json` reads it back, equal.

    Returns:
        One line of text, for a file or a database.
    """
    return _dumps(converter.unstructure(value))


def from_json(text: str | bytes, cls: type[T]) -> T:
    """Read what `to_json` wrote.

    Args:
        text: The JSON.
        cls: The class of the value, such as `AddInstrumentalRequest`.

    Raises:
        InvalidRequest: It is not the JSON of such a value; nothing else is raised for any text.
    """
    return _made(text, cls, lambda: _loads(text), "text")


def _made(given: object, cls: type[T], read: Callable[[], Any], argument: str) -> T:
    try:
        return converter.structure(read(), cls)
    except InvalidRequest:
        raise
    except _UNREADABLE as error:
        name = cls.__name__ if isinstance(cls, type) else str(cls)
        raise InvalidRequest(
            argument, given, f"must be the JSON of a value of class {name}"
        ) from error


_UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
    StructureHandlerNotFoundError,
)
