"""What the service accepts as a submission."""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from attrs import frozen

_NOT_BLANK = ("uploadUrl", "title", "tags", "callBackUrl")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "model": ("V4_5PLUS", "V5"),
    "vocalGender": ("m", "f"),
}
_URLS = ("uploadUrl", "callBackUrl")
_WEIGHTS = ("styleWeight", "weirdnessConstraint", "audioWeight")
# upstream: a title has at most 100 characters, and a text that is too long is a 413
_TITLE_LENGTH = 100
_DEEPEST = 64


@frozen
class Refusal(Exception):
    """The service does not do what it was asked.

    Args:
        code: The envelope's code.
        msg: The envelope's text.
    """

    code: int
    msg: str


def parse_object(raw: bytes) -> dict[str, object]:
    """Read a JSON object; numbers with a fraction become `Decimal`, as they were written.

    Raises:
        Refusal: 422 when it is something else, is nested too deep, or holds half a surrogate
            pair, which JSON can and UTF-8 can not.
    """
    try:
        body: object = json.loads(raw, parse_float=_decimal, parse_constant=_no_constant)
    except RecursionError:
        raise Refusal(422, "body: is nested too deep") from None
    except ValueError as error:
        raise Refusal(422, f"body: must be JSON ({error})") from error
    if not isinstance(body, dict):
        raise Refusal(422, "body: must be a JSON object")
    for name, value in body.items():
        _check_value(name if is_text(name) else "body", [name, value], 0)
    return body


def _check_value(name: str, value: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise Refusal(422, f"{name}: is nested too deep")
    match value:
        case str() if not is_text(value):
            raise Refusal(422, f"{name}: must be valid Unicode")
        case list():
            parts = value
        case dict():
            parts = [*value.keys(), *value.values()]
        case _:
            return
    for part in parts:
        _check_value(name, part, depth + 1)


def check_submission(body: Mapping[str, object]) -> None:
    """Check a submission against the specification; unknown fields are ignored.

    Raises:
        Refusal: 422 that names the first offending field and its rule, 413 for a title too long.
    """
    if not isinstance(body.get("negativeTags"), str):  # the specification sets no least length
        raise Refusal(422, "negativeTags: must be a string")
    for name in _NOT_BLANK:
        value = body.get(name)
        if not isinstance(value, str) or not value.strip():
            raise Refusal(422, f"{name}: must be a non-blank string")
    for name in _URLS:
        if not _is_url(str(body[name])):
            raise Refusal(422, f"{name}: must be an http or https URL with a host")
    for name, allowed in _CHOICES.items():
        if name in body and body[name] not in allowed:
            raise Refusal(422, f"{name}: must be one of {', '.join(allowed)}")
    _check_weights(body)
    if len(str(body["title"])) > _TITLE_LENGTH:
        raise Refusal(413, f"title: must have at most {_TITLE_LENGTH} characters")


def _check_weights(body: Mapping[str, object]) -> None:
    for name in _WEIGHTS:
        if name in body and not _is_weight(body[name]):
            raise Refusal(422, f"{name}: must be a multiple of 0.01 between 0 and 1")


def is_text(value: str) -> bool:
    """Tell whether a string can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_url(text: str) -> bool:
    if any(character.isspace() or ord(character) < 0x20 for character in text):
        return False
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host)


def _is_weight(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return 0 <= value <= 1 and Decimal(value) % Decimal("0.01") == 0


def _decimal(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation as error:
        raise ValueError("a number is out of range") from error


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")
