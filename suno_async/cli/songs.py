"""What a person asks for: the request's fields, and a stem on disk in place of its URL."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, fields, frozen

from suno_async import AddInstrumentalRequest, InvalidRequest

# Stands in for the URL that a stem gets when it is uploaded, so that the rest can be checked first.
_NOT_UPLOADED = "https://stem.invalid/"

REQUEST_FIELDS = tuple(attribute.name for attribute in fields(AddInstrumentalRequest))
FIELDS = ("stem", *REQUEST_FIELDS)
_REQUIRED = ("title", "tags", "negative_tags")
WEIGHTS = ("style_weight", "weirdness_constraint", "audio_weight")


@frozen
class Song:
    """One request, complete but for the URL of its stem.

    Attributes:
        request: What to ask for.
        stem: The stem on disk; None when the request names a URL.
    """

    request: AddInstrumentalRequest
    stem: Path | None = None

    def with_upload(self, url: str) -> AddInstrumentalRequest:
        """Complete the request with the URL of the uploaded stem."""
        return evolve(self.request, upload_url=url)


def make_song(given: Mapping[str, Any], folder: Path) -> Song:
    """Check what was given and build a song from it.

    Args:
        given: Values by field name; None counts as not given.
        folder: What a stem's relative path starts from.

    Raises:
        InvalidRequest: A field is unknown, missing, or breaks its rule; or the stem is unusable.
    """
    values = {name: value for name, value in given.items() if value is not None}
    for name in values:
        check_field(name)
    for name in _REQUIRED:
        if name not in values:
            raise InvalidRequest(name, None, "is required")
    if ("stem" in values) == ("upload_url" in values):
        both = "or upload_url is required, and not both of them"
        raise InvalidRequest("stem", None, both)
    stem = check_stem(values.pop("stem"), folder) if "stem" in values else None
    return Song(AddInstrumentalRequest(**{"upload_url": _NOT_UPLOADED, **values}), stem)


def check_field(name: str) -> None:
    """Refuse a name that is no field.

    Raises:
        InvalidRequest: It is none; the rule lists those that there are.
    """
    if name not in FIELDS:
        raise InvalidRequest("field", name, f"must be one of {', '.join(FIELDS)}")


def check_stem(value: object, folder: Path) -> Path:
    """Refuse a stem that is no readable file with something in it.

    Raises:
        InvalidRequest: It is not.
    """
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise InvalidRequest("stem", value, "must be the path of a file")
    path = folder / Path(value).expanduser()
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        rule = f"must be a readable file ({os.strerror(error.errno or 0)})"
        raise InvalidRequest("stem", str(path), rule) from error
    if empty:
        raise InvalidRequest("stem", str(path), "must not be an empty file")
    return path
