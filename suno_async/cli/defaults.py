"""What a configuration file sets of the options, checked against the commands that have them."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import typer
from attrs import frozen

from suno_async.cli.config import KEY, Config
from suno_async.cli.failures import Complaint
from suno_async.cli.values import Kind, described, kinds_of

# what a file that may have come with a folder does not decide: what is paid for unasked, and which
# other files are written to
_CHOSEN_ONLY = frozenset(
    {"log", "yes", "confirm_above", "retry_uncertain", "retry_failed", "abandon", "adopt"}
)


@frozen
class _Option:
    """An option of a command: the parameter that typer made of it, and what it takes."""

    parameter: Any
    kind: Kind


# the options of a command, by what keys of a file are called
_Options: TypeAlias = dict[str, _Option]


def defaults_of(config: Config, ctx: typer.Context) -> dict[str, Any]:
    """Make the defaults of all options: `[generate]` counts before what is above the tables.

    Args:
        config: What the file says.
        ctx: The context of the whole command.

    Returns:
        The defaults of the whole command's own options by their parameters, and those of each
        command in a dictionary under the command's name.

    Raises:
        Complaint: A key is unknown, or its value is none that the option takes.
    """
    return _Checked(config, ctx).defaults()


class _Checked:
    def __init__(self, config: Config, ctx: typer.Context) -> None:
        self._config = config
        self._ctx = ctx
        whole: Any = ctx.command
        self._own = _options(whole)
        self._commands = {name: _options(each) for name, each in whole.commands.items()}

    def defaults(self) -> dict[str, Any]:
        tables = {key: value for key, value in self._config.values.items() if _is_table(value)}
        common = self._named(
            {key: value for key, value in self._config.values.items() if key not in tables}, ""
        )
        for key in common:
            self._check_known(key, self._everywhere(), "")
        own = {key: value for key, value in common.items() if key in self._own}
        made: dict[str, Any] = self._values(own, self._own, "")
        for name in tables:
            if name not in self._commands:
                raise self._complaint(
                    "", f"[{name}]", f"is no command{_like(name, self._commands)}"
                )
        for name, options in self._commands.items():
            shared = {key: value for key, value in common.items() if key in options}
            made[name] = self._values(shared, options, "") | self._table(name, tables.get(name, {}))
        return made

    def _table(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        options = self._commands[name]
        table = f"[{name}] "
        named = self._named(values, table)
        for key in named:
            self._check_known(key, options, table)
        return self._values(named, options, table)

    def _everywhere(self) -> list[str]:
        return [*self._own, *(key for options in self._commands.values() for key in options)]

    def _named(self, values: Mapping[str, Any], table: str) -> dict[str, Any]:
        """Spell keys as one; `-` and `_` are the same."""
        named: dict[str, Any] = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name in named:
                raise self._complaint(table, key, "is there twice")
            named[name] = value
        return named

    def _check_known(self, key: str, known: Iterable[str], table: str) -> None:
        if key in known:
            return
        if key == KEY:
            raise self._complaint(table, key, "belongs above all tables")
        raise self._complaint(table, key, f"is no option that can be set here{_like(key, known)}")

    def _values(self, values: Mapping[str, Any], options: _Options, table: str) -> dict[str, Any]:
        for key, value in values.items():
            self._check_value(key, value, options[key], table)
        return {options[key].parameter.name: value for key, value in values.items()}

    def _check_value(self, key: str, value: Any, option: _Option, table: str) -> None:
        if not self._config.chosen and _needs_choice(key, value):
            path = self._config.path
            rule = f"may have come with this folder: if it is right, give --config {path}"
            raise self._complaint(table, key, rule)
        kind, parameter = option.kind, option.parameter
        values = value if parameter.multiple and isinstance(value, list) else [value]
        for each in values:
            if not kind.has(each):
                raise self._complaint(table, key, f"{kind.rule}, and is {described(each)}")
        try:
            parameter.process_value(self._ctx, value)
        except typer.BadParameter:
            # without its words: they may have the value, and the value may be the key
            raise self._complaint(table, key, kind.rule) from None

    def _complaint(self, table: str, key: str, rule: str) -> Complaint:
        return Complaint(f"{self._config.path}: {table}{key}: {rule}")


def _needs_choice(key: str, value: object) -> bool:
    """Tell whether a file has to be chosen to set an option to a value."""
    if key != "out":
        return key in _CHOSEN_ONLY
    return isinstance(value, str) and (Path(value).is_absolute() or ".." in Path(value).parts)


def _options(command: Any) -> _Options:
    """Find the options that a file may set: not those that act at once, such as `--help`."""
    kinds = kinds_of(command.callback)
    return {
        word.removeprefix("--").replace("-", "_"): _Option(each, _kind(each, kinds))
        for each in command.params
        if each.param_type_name == "option" and each.expose_value and not each.is_eager
        for word in each.opts
        if word.startswith("--")
    }


def _kind(parameter: Any, kinds: Mapping[str, type]) -> Kind:
    return Kind(kinds[parameter.name], *_bounds(parameter))


def _bounds(parameter: Any) -> tuple[float | None, float | None]:
    """Find the bounds of a number, which are kept at its type or, by newer typers, beside it."""
    holder = getattr(parameter, "type", parameter)
    return getattr(holder, "min", None), getattr(holder, "max", None)


def _is_table(value: object) -> bool:
    return isinstance(value, dict)


def _like(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(set(known)), 1)
    return f": did you mean {close[0]}?" if close else ""
