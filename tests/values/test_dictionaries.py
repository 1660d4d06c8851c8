"""`to_dict` and `from_dict`: dictionaries that every JSON library can write."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from suno_async import (
    AddInstrumentalRequest,
    InvalidRequest,
    Outcome,
    SunoError,
    TaskDetails,
    from_dict,
    from_json,
    to_dict,
    to_json,
)
from tests.test_storage import VALUES as ANY_VALUES
from tests.test_storage import told

from .examples import DURABLE_VALUES, ERRORS, OUTCOME, STATS, VALUES


def is_plain(value: object) -> bool:
    """Tell whether a value is made of what JSON has, and of no subclasses."""
    if type(value) is dict:
        return all(type(name) is str and is_plain(item) for name, item in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return value is None or type(value) in {str, int, float, bool}


@pytest.mark.parametrize("value", [*VALUES, *DURABLE_VALUES, *ERRORS], ids=repr)
def test_a_dictionary_is_ready_for_json(value: Any) -> None:
    """It is made of dictionaries, lists and single values, and says what `to_json` says."""
    data = to_dict(value)
    assert is_plain(data)
    assert json.loads(to_json(value)) == data


@pytest.mark.parametrize("value", [*VALUES, *DURABLE_VALUES], ids=lambda v: type(v).__name__)
def test_a_value_comes_back_equal(value: Any) -> None:
    """From its dictionary and from its JSON, with what counts for equality and what does not."""
    for again in (from_dict(to_dict(value), type(value)), from_json(to_json(value), type(value))):
        assert again == value
        assert repr(again) == repr(value)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_comes_back_by_the_name_of_its_class(error: SunoError) -> None:
    """Also one of `durable`, which knows classes of its own."""
    again = from_dict(to_dict(error), SunoError)
    assert type(again) is type(error)
    assert (vars(again), str(again)) == (vars(error), str(error))


@given(ANY_VALUES)
@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
def test_every_value_comes_back_from_its_dictionary(value: Any) -> None:
    """Whatever its fields hold."""
    data = to_dict(value)
    assert is_plain(data)
    assert told(from_dict(data, type(value))) == told(value)


def test_changing_a_dictionary_changes_no_value() -> None:
    """What is given away is a copy, as deep as it is."""
    data = to_dict(OUTCOME)
    data["details"]["raw"]["new"].append(2)
    assert OUTCOME.details is not None
    assert OUTCOME.details.raw["new"] == [1, None]


@pytest.mark.parametrize("value", [None, 1, "text", [OUTCOME], {"a": 1}, object(), OSError()])
def test_what_is_no_value_has_no_dictionary(value: Any) -> None:
    """A list of values is a list of dictionaries: `[to_dict(each) for each in …]`."""
    with pytest.raises(TypeError, match="is no value of this library"):
        to_dict(value)


@pytest.mark.parametrize("data", [None, [], "text", {}, {"task_id": 7, "status": "x"}])
@pytest.mark.parametrize("cls", [TaskDetails, Outcome, AddInstrumentalRequest, SunoError])
def test_other_data_is_refused(data: Any, cls: type[Any]) -> None:
    """With an `InvalidRequest`, as everything that is not what it should be."""
    with pytest.raises(InvalidRequest):
        from_dict(data, cls)


def test_codes_are_numbers_again() -> None:
    """JSON's names are text; who reads statistics gets numbers."""
    assert to_dict(STATS)["refusals"] == {"429": 2}
    assert from_dict(to_dict(STATS), type(STATS)).refusals == {429: 2}


def test_a_class_of_errors_that_is_not_ours_is_refused() -> None:
    """A text names classes of this library alone, whatever subclasses a caller has."""

    class Theirs(SunoError):
        pass

    assert Theirs.__name__ == "Theirs"
    with pytest.raises(InvalidRequest):
        from_dict({"error": "Theirs"}, SunoError)
