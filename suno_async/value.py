"""What all values share: a `repr` worth reading, and what pydantic and FastAPI ask of them."""

import dataclasses
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

from attrs import NOTHING, Attribute, AttrsInstance, Factory, fields, has

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


@cache
def _as_dataclass(cls: type[AttrsInstance]) -> type:
    """Make the dataclass that has the fields of an attrs class."""
    declared = [(a.name, a.type or Any, _as_field(a)) for a in fields(cls)]
    return dataclasses.make_dataclass(cls.__name__, declared, frozen=True)


def _as_field(attribute: "Attribute[Any]") -> Any:
    given: Any = attribute.default
    default: dict[str, Any] = {} if given is NOTHING else {"default": given}
    if isinstance(given, cast("type", Factory)):  # attrs types its class as a function
        default = {"default_factory": cast("Any", given).factory}
    shown, compared = bool(attribute.repr), bool(attribute.eq)
    return dataclasses.field(init=attribute.init, repr=shown, compare=compared, **default)


class _OfDataclass:
    """An attribute of a value's class that is the one of a dataclass with the same fields."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, value: object, cls: type) -> Any:
        if not has(cls):
            raise AttributeError(self._name)
        return getattr(_as_dataclass(cls), self._name)


class Value:
    """A value that pydantic can validate and write, in the form of `to_dict` and `from_dict`.

    FastAPI takes a parameter for the request's body when its class is a dataclass or one of
    pydantic's: so the values of this library, which are made by attrs, tell their fields in the
    way of dataclasses too, and `dataclasses.asdict`, `fields` and `replace` take them.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    else:
        __dataclass_fields__ = _OfDataclass()
        __dataclass_params__ = _OfDataclass()

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        # pydantic alone calls it: nobody else needs to have it
        from suno_async.schemas import schema_of_value

        return schema_of_value(_attrs(cls), handler)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: "CoreSchema", handler: "GetJsonSchemaHandler"
    ) -> "JsonSchemaValue":
        from suno_async.schemas import described  # as above

        return described(_attrs(cls), schema, handler)


class Readable(Value):
    """A value whose `repr` shows what is there and leaves out what is absent or long."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = (
            (a.name, getattr(self, a.name))
            for a in fields(_attrs(type(self)))
            if a.repr and getattr(self, a.name) not in (None, ())
        )
        inner = ", ".join(f"{name}={_brief(value)}" for name, value in shown)
        return f"{type(self).__name__}({inner})"


def _attrs(cls: type[Value]) -> type[AttrsInstance]:
    return cast("type[AttrsInstance]", cls)


def _brief(value: object) -> str:
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    text = repr(value)
    return text if len(text) <= 80 or not isinstance(value, str) else f"{text[:78]}…'"
