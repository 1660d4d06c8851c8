"""The JSON that services have stored is the JSON of tomorrow too: its form is pinned in a file."""

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_async import SunoError, from_json, to_json

from .examples import DURABLE_VALUES, ERRORS, VALUES

# a change here is a change for everybody who has stored something: say so in the changelog
FORMS: dict[str, Any] = json.loads((Path(__file__).parent / "json_form.json").read_text())
EXAMPLES = {type(value).__name__: value for value in (*VALUES, *DURABLE_VALUES, *ERRORS)}


def test_the_form_of_every_class_is_pinned() -> None:
    """Nothing is written whose form is not in the file."""
    assert list(FORMS) == list(EXAMPLES)


@pytest.mark.parametrize("name", FORMS)
def test_what_is_written_has_the_pinned_form(name: str) -> None:
    """The same names and values, in the same order, to the last character."""
    pinned = json.dumps(FORMS[name], ensure_ascii=False, separators=(",", ":"))
    assert to_json(EXAMPLES[name]) == pinned


@pytest.mark.parametrize("name", FORMS)
def test_what_has_the_pinned_form_can_be_read(name: str) -> None:
    """What was stored by this version is the value again."""
    value = EXAMPLES[name]
    again = from_json(json.dumps(FORMS[name]), type(value))
    assert type(again) is type(value)
    assert again == value or (isinstance(value, SunoError) and vars(again) == vars(value))


@pytest.mark.parametrize("name", [type(value).__name__ for value in VALUES])
def test_what_lacks_a_later_field_can_be_read(name: str) -> None:
    """A field that has a usual value may be missing: an older version did not know it."""
    value = EXAMPLES[name]
    needed = {a.name for a in attrs.fields(type(value)) if a.default is attrs.NOTHING}
    stored = {key: item for key, item in FORMS[name].items() if key in needed}
    again = from_json(json.dumps(stored), type(value))
    assert all(getattr(again, key) == getattr(value, key) for key in needed)
