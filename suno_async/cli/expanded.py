"""Options that several commands have: a class declares them once, with its fields."""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, get_args, get_origin

import attrs


class Without:
    """In an annotation, as `Annotated[Options, Without("name")]`: what a command does not offer.

    Args:
        names: The fields, which keep their defaults.
    """

    def __init__(self, *names: str) -> None:
        self.names = names


@attrs.frozen
class _Group:
    """A class of options, and those of its fields that a command offers."""

    of: type[Any]
    fields: tuple["attrs.Attribute[Any]", ...]

    def parameters(self) -> Iterator[Parameter]:
        for field in self.fields:
            default = Parameter.empty if field.default is attrs.NOTHING else field.default
            yield Parameter(
                field.name, Parameter.KEYWORD_ONLY, default=default, annotation=field.type
            )

    def taken_from(self, given: dict[str, Any]) -> Any:
        """Make an object of what was given, which then is no longer there."""
        return self.of(**{field.name: given.pop(field.name) for field in self.fields})


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """Make a command that has the fields of a class in place of a parameter that is such a class.

    Args:
        function: Takes keywords alone; those that are attrs classes are made of their fields, whose
            annotations and defaults are what typer takes.
    """
    parameters: list[Parameter] = []
    groups: dict[str, _Group] = {}
    for name, parameter in signature(function).parameters.items():
        group = _group(parameter.annotation)
        if group is None:
            parameters.append(parameter)
        else:
            groups[name] = group
            parameters += group.parameters()

    @wraps(function)
    def command(**given: Any) -> None:
        objects = {name: group.taken_from(given) for name, group in groups.items()}
        function(**given, **objects)

    # it has its own, not the function's
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    attributes: Mapping[str, Any] = {"__signature__": Signature(parameters)}
    command.__dict__.update(attributes)
    return command


def _group(annotation: Any) -> _Group | None:
    bare, *about = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    if not isinstance(bare, type) or not attrs.has(bare):
        return None
    left_out = {name for each in about if isinstance(each, Without) for name in each.names}
    return _Group(bare, tuple(it for it in attrs.fields(bare) if it.name not in left_out))
