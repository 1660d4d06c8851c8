"""Values and errors go to other processes and are copied, with all that they carry."""

import copy
import pickle
from collections.abc import Callable
from typing import Any, get_args

import attrs
import pytest

import suno_async
from suno_async import ConnectionFailed, SubmissionUncertain, SunoError, UnexpectedError, durable
from suno_async.observe import Observation

from .examples import DURABLE_ERRORS, DURABLE_VALUES, ERRORS, OBSERVATIONS, VALUES

EVERY_VALUE = [*VALUES, *DURABLE_VALUES, *OBSERVATIONS]


def pickled(value: Any) -> Any:
    """Send a value to another process and back."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


WAYS = [pickled, copy.copy, copy.deepcopy]


def told(value: Any) -> Any:
    """Give what counts of a value: errors in it are told apart by identity."""
    return repr(value), attrs.asdict(value, recurse=False, filter=lambda _, v: not _is_error(v))


def _is_error(value: object) -> bool:
    return isinstance(value, SunoError)


def test_every_public_value_and_error_has_an_example() -> None:
    """The lists are complete, so that the tests below speak of all."""
    public = [getattr(module, n) for module in (suno_async, durable) for n in module.__all__]
    classes = {each for each in public if isinstance(each, type)} | {*get_args(Observation)}
    frozen = {c for c in classes if attrs.has(c) and not issubclass(c, SunoError)}
    with_values = {c for c in frozen if isinstance(c, type) and hasattr(c, "__setattr__")}
    settings = {"RetryPolicy", "FixedInterval", "Growing", "InstrumentalTask", "VirtualClock"}
    wanted = {c for c in with_values if c.__name__ not in settings}
    assert wanted <= {type(value) for value in EVERY_VALUE}
    assert {c for c in classes if issubclass(c, SunoError)} <= {type(e) for e in ERRORS}
    assert {type(e) for e in DURABLE_ERRORS} <= classes


@pytest.mark.parametrize("value", EVERY_VALUE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("way", WAYS)
def test_values_travel(value: Any, way: Callable[[Any], Any]) -> None:
    """A value that was pickled or copied is of the same class and says the same."""
    again = way(value)
    assert type(again) is type(value)
    assert told(again) == told(value)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("way", WAYS)
def test_errors_travel_with_notes_and_cause(error: SunoError, way: Callable[[Any], Any]) -> None:
    """An error keeps its attributes, its message, its notes, and why it happened."""
    given = copy.copy(error)
    given.add_note("the third of Monday")
    given.__cause__ = cause = SubmissionUncertain("One", "reset")
    cause.__cause__ = OSError(104, "reset by peer")
    again = way(given)
    assert type(again) is type(error)
    assert again is not given
    assert (str(again), repr(again), again.args) == (str(error), repr(error), error.args)
    assert vars(again) == vars(given)
    assert again.__notes__ == ["the third of Monday"]
    assert repr(again.__cause__) == repr(cause)
    assert isinstance(again.__cause__, SubmissionUncertain)
    assert repr(again.__cause__.__cause__) == repr(cause.__cause__)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_cause_travels_by_every_protocol(protocol: int) -> None:
    """Whichever form of pickle somebody uses."""
    error = ConnectionFailed("reset")
    error.__cause__ = KeyError("late")
    again = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
    assert repr(again.__cause__) == "KeyError('late')"
    assert again.__suppress_context__


class Foreign(Exception):
    """A cause of somebody's, which holds what must not travel."""

    def __init__(self, host: str, *, key: str) -> None:
        super().__init__(f"no way to {host}")
        self.key = key


def test_a_foreign_cause_travels_as_what_it_said() -> None:
    """Neither a secret nor what cannot be pickled goes along; a copy has the cause itself."""
    error = ConnectionFailed("reset")
    error.__cause__ = Foreign("h", key="a secret")
    sent = pickle.dumps(error)
    assert b"a secret" not in sent
    again = pickle.loads(sent)  # noqa: S301 - our own bytes
    assert repr(again.__cause__) == repr(UnexpectedError("Foreign: no way to h"))
    assert copy.copy(error).__cause__ is copy.deepcopy(error).__cause__ is error.__cause__


class Mute(Exception):
    """A cause that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("never")


@pytest.mark.parametrize(
    "cause",
    [Mute(), OSError(lambda: None), KeyError({"a": print})],
    ids=["mute", "function", "dictionary"],
)
def test_no_cause_keeps_an_error_from_travelling(cause: Exception) -> None:
    """Whatever a cause holds, the error that has it can be pickled."""
    error = ConnectionFailed("reset")
    error.__cause__ = cause
    again = pickled(error)
    assert again.reason == "reset"
    assert again.__cause__ is not None
