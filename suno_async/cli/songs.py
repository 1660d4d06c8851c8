"""What a person asks for: the request's fields, and a stem on disk in place of its URL."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, field, fields, frozen

from suno_async import AddInstrumentalRequest, InvalidRequest
from suno_async.cli.stems import Stem, check_stem, stem_path

REQUEST_FIELDS = tuple(attribute.name for attribute in fields(AddInstrumentalRequest))
FIELDS = ("stem", *REQUEST_FIELDS)
WEIGHTS = ("style_weight", "weirdness_constraint", "audio_weight")
# a row's own stem replaces the common one, whichever way each of them is given
STEM_FIELDS = frozenset({"stem", "upload_url"})
_REQUIRED = ("title", "tags", "negative_tags")
# where the service reports is no part of what is asked for
_NO_CONTENT = {"callback_url"}
_KEY_LENGTH = 32


@frozen
class Song:
    """One request, checked, and complete but for the URL of its stem.

    Attributes:
        fields: The fields of the request by name; without `upload_url` when there is a stem.
        stem: The stem on disk; None when the request names a URL.
    """

    fields: Mapping[str, Any] = field(hash=False)
    stem: Stem | None = None

    @property
    def title(self) -> str:
        """Its title."""
        return str(self.fields["title"])

    @property
    def content_key(self) -> str:
        """What it asks for, as a digest: 32 hexadecimal digits, the same in every run.

        It holds the fields that are given, but for `callback_url`, and the stem's content: not
        where the stem lies, nor columns that are no fields.
        """
        content = {name: _plain(value) for name, value in self.fields.items()}
        given = {name: content[name] for name in content.keys() - _NO_CONTENT}
        if self.stem is not None:
            given["stem"] = self.stem.digest
        text = json.dumps(given, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]

    def request(self, upload_url: str | None = None) -> AddInstrumentalRequest:
        """Make the request.

        Args:
            upload_url: Where the stem was uploaded to; None when the song names a URL itself.
        """
        if upload_url is None:
            return AddInstrumentalRequest(**self.fields)
        return AddInstrumentalRequest(**{**self.fields, "upload_url": upload_url})


def _plain(value: object) -> object:
    # 1 and 1.0 are the same weight, and so are 0.0 and -0.0
    return float(value) + 0.0 if isinstance(value, int | float) else value


def make_song(
    given: Mapping[str, Any], folder: Path, check: Callable[[Path], Stem] = check_stem
) -> Song:
    """Check what was given and build a song from it.

    Args:
        given: Values by field name; None counts as not given.
        folder: What a stem's relative path starts from.
        check: Reads a stem, or remembers what it has read.

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
    path = stem_path(values.pop("stem"), folder) if "stem" in values else None
    checked = _checked(values)
    return Song(checked, check(path) if path is not None else None)


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Check all fields that are given, as far as that goes while a stem has no URL yet."""
    request = AddInstrumentalRequest(**{"upload_url": "https://stem.invalid/", **values})
    checked = asdict(request, filter=lambda _, value: value is not None)
    if "upload_url" not in values:
        del checked["upload_url"]
    return checked


def check_field(name: str) -> None:
    """Refuse a name that is no field.

    Raises:
        InvalidRequest: It is none; the rule lists those that there are.
    """
    if name not in FIELDS:
        raise InvalidRequest("field", name, f"must be one of {', '.join(FIELDS)}")


def check_defaults(given: Mapping[str, Any], check: Callable[[Path], Stem] = check_stem) -> None:
    """Check values that many songs are going to share, before any of the songs is read.

    Args:
        given: Values by field name; None counts as not given.
        check: Reads a stem.

    Raises:
        InvalidRequest: One breaks its rule, or the stem is given in both ways.
    """
    others: dict[str, Any] = {"title": "-", "tags": "-", "negative_tags": ""}
    stem: dict[str, Any] = {"upload_url": "https://stem.invalid/"}
    values = {name: value for name, value in given.items() if value is not None}
    make_song({**others, **({} if STEM_FIELDS & values.keys() else stem), **values}, Path(), check)
