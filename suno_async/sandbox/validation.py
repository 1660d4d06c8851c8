"""What the service accepts as a submission."""

import json
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import urlsplit

from attrs import frozen

_REQUIRED = ("uploadUrl", "title", "tags", "negativeTags", "callBackUrl")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "model": ("V4_5PLUS", "V5"),
    "vocalGender": ("m", "f"),
}
_URLS = ("uploadUrl", "callBackUrl")
_WEIGHTS = ("styleWeight", "weirdnessConstraint", "audioWeight")
# upstream: a title has at most 100 characters, and a text that is too long is a 413
_TITLE_LENGTH = 100


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
        Refusal: It is something else.
    """
    try:
        body: object = json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)
    except ValueError as error:
        raise Refusal(422, f"body: must be JSON ({error})") from error
    if not isinstance(body, dict):
        raise Refusal(422, "body: must be a JSON object")
    return body


def check_submission(body: Mapping[str, object]) -> None:
    """Check a submission against the specification; unknown fields are ignored.

    Raises:
        Refusal: 422 that names the first offending field and its rule, 413 for a title too long.
    """
    for name in _REQUIRED:
        value = body.get(name)
        if not isinstance(value, str) or not value.strip():
            raise Refusal(422, f"{name}: must be a non-blank string")
    for name in _URLS:
        if not _is_url(str(body[name])):
            raise Refusal(422, f"{name}: must be an http or https URL with a host")
    for name, allowed in _CHOICES.items():
        if name in body and body[name] not in allowed:
            raise Refusal(422, f"{name}: must be one of {', '.join(allowed)}")
    for name in _WEIGHTS:
        if name in body and not _is_weight(body[name]):
            raise Refusal(422, f"{name}: must be a multiple of 0.01 between 0 and 1")
    if len(str(body["title"])) > _TITLE_LENGTH:
        raise Refusal(413, f"title: must have at most {_TITLE_LENGTH} characters")


def _is_url(text: str) -> bool:
    if any(character.isspace() for character in text):
        return False
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host)


def _is_weight(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return 0 <= value <= 1 and Decimal(value) % Decimal("0.01") == 0


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")
