"""What kinds of values options take from a configuration file, and how that is said."""

from collections.abc import Callable
from enum import Enum
from inspect import signature
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from attrs import frozen

_WANTED = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
_IS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
_TYPES: dict[type, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float)}


@frozen
class Kind:
    """What an option takes.

    Attributes:
        of: A type of Python.
        least: The least number; None for no bound.
        most: The greatest number; None for no bound.
    """

    of: type
    least: float | None = None
    most: float | None = None

    def has(self, value: object) -> bool:
        """Tell whether a value of TOML is of this kind, within its bounds or not."""
        if isinstance(value, bool):
            return self.of is bool
        return isinstance(value, _TYPES.get(self.of, (str,)))

    @property
    def rule(self) -> str:
        """What a value has to be, as the end of a sentence."""
        if issubclass(self.of, Enum):
            return f"must be one of {', '.join(str(member.value) for member in self.of)}"
        least = f" of at least {self.least:g}" if self.least is not None else ""
        most = f", at most {self.most:g}" if self.most is not None else ""
        return f"must be {_WANTED.get(self.of, 'text')}{least}{most}"


def kinds_of(function: Callable[..., Any]) -> dict[str, type]:
    """Tell of what type each parameter of a command's function is."""
    parameters = signature(function).parameters.values()
    return {each.name: _plain(_bare(each.annotation)) for each in parameters}


def described(value: object) -> str:
    """Say what kind of value TOML has, and not which."""
    return _IS.get(type(value), "a table" if isinstance(value, dict) else "a time")


def _bare(annotation: Any) -> Any:
    """Take what stands beside a type from it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _plain(hint: Any) -> type:
    """Take a type out of `X | None` or `list[X]`."""
    found = next((each for each in get_args(hint) if each is not NoneType), hint)
    return found if isinstance(found, type) else str
