"""Values as pydantic's schemas: what FastAPI reads, checks, writes and describes.

Loaded when pydantic asks a value's class for its schema, and never before.
"""

import inspect
import json
import re
from collections.abc import Callable
from functools import partial
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin

from attrs import NOTHING, Attribute, AttrsInstance, fields
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from suno_async.errors import InvalidRequest, SunoError
from suno_async.models import AddInstrumentalRequest
from suno_async.storage import from_dict, to_json

_WORDS_FOR_NUMBERS = ("inf", "-inf", "nan")


def schema_of_value(cls: type[AttrsInstance], handler: GetCoreSchemaHandler) -> CoreSchema:
    """Make the schema of one of our attrs classes: its own checks, told field by field."""
    given = core_schema.typed_dict_schema(
        {a.name: _field(a, handler) for a in fields(cls)},
        cls_name=cls.__name__,
        # as in `from_dict`: of a request, a name that is not known is a mistake
        extra_behavior="forbid" if cls is AddInstrumentalRequest else "ignore",
    )
    return core_schema.no_info_wrap_validator_function(
        partial(_take, cls, lambda validated: cls(**validated)),
        given,
        ref=_reference(cls),
        serialization=core_schema.plain_serializer_function_ser_schema(_written),
    )


def schema_of_error(cls: type[SunoError]) -> CoreSchema:
    """Make the schema of an error: the name of its class, and what it carries."""
    name = core_schema.typed_dict_field(core_schema.str_schema())
    given = core_schema.typed_dict_schema(
        {"error": name}, cls_name=cls.__name__, extra_behavior="allow"
    )
    return core_schema.no_info_wrap_validator_function(
        partial(_take, cls, lambda validated: from_dict(validated, cls)),
        given,
        ref=_reference(cls),
        serialization=core_schema.plain_serializer_function_ser_schema(_written),
    )


def described(
    cls: type[AttrsInstance], schema: CoreSchema, handler: GetJsonSchemaHandler
) -> JsonSchemaValue:
    """Describe a value's JSON with the words of its docstring."""
    found = handler(schema)
    written = handler.resolve_ref_schema(found)
    doc = inspect.getdoc(cls) or ""
    texts = _texts(doc)
    written["description"] = doc.partition("\n\n")[0]
    for a in fields(cls):
        about = {"description": texts[a.name]} if a.name in texts else {}
        written["properties"][a.name] |= {**a.metadata.get("json_schema", {}), **about}
    if handler.mode == "serialization":  # what is written has every field
        written["required"] = list(written["properties"])
    return found


def _written(value: Any) -> Any:
    """Give what `to_json` writes; half a character, which no answer in UTF-8 can have, as `?`."""
    text = to_json(value)
    if "\\ud" in text:
        told = json.dumps(json.loads(text), ensure_ascii=False)
        text = told.encode(errors="replace").decode()
    return json.loads(text)


def _reference(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"


def _take(
    cls: type[Any],
    make: Callable[[Any], Any],
    value: Any,
    validate: core_schema.ValidatorFunctionWrapHandler,
) -> Any:
    """Take an instance as it is, and make one of anything else."""
    if isinstance(value, cls):
        return value
    validated = validate(value)
    return _telling(lambda: make(validated))


def _telling(make: Callable[[], Any]) -> Any:
    """Tell pydantic what our own checks refuse."""
    try:
        return make()
    except InvalidRequest as error:
        told = {"rule": error.rule}
        raise PydanticCustomError("invalid_request", "Value {rule}", told) from error


def _field(
    attribute: "Attribute[Any]", handler: GetCoreSchemaHandler
) -> core_schema.TypedDictField:
    schema = _schema(attribute.type, handler)
    if attribute.converter is not None or attribute.validator is not None:
        check = partial(_checked, attribute)
        schema = core_schema.no_info_after_validator_function(check, schema)
    return core_schema.typed_dict_field(schema, required=attribute.default is NOTHING)


def _checked(attribute: "Attribute[Any]", value: Any) -> Any:
    """Check one field as its class does, so that a refusal names the field."""

    def check() -> Any:
        # ours are plain functions; attrs has a class for those that take more than the value
        convert = cast("Callable[[Any], Any] | None", attribute.converter)
        converted = convert(value) if convert is not None else value
        if attribute.validator is not None:
            attribute.validator(None, attribute, converted)
        return value

    return _telling(check)


def _schema(kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Make the schema of a field's type; a number is one, and no text or bool in its place."""
    if kind is int:
        return core_schema.int_schema(strict=True)
    if kind is bool:
        return core_schema.bool_schema(strict=True)
    if kind is float:
        number = core_schema.float_schema(strict=True)
        return core_schema.no_info_before_validator_function(_number, number)
    if get_origin(kind) in (Union, UnionType):
        return _union(get_args(kind), handler)
    return handler.generate_schema(kind)


def _union(kinds: tuple[Any, ...], handler: GetCoreSchemaHandler) -> CoreSchema:
    """Take the first kind that fits: a status that is known becomes a member."""
    schemas = [_schema(kind, handler) for kind in kinds if kind is not type(None)]
    of_all = (
        schemas[0]
        if len(schemas) == 1
        else core_schema.union_schema(list(schemas), mode="left_to_right")
    )
    return core_schema.nullable_schema(of_all) if type(None) in kinds else of_all


def _number(value: Any) -> Any:
    return float(value) if value in _WORDS_FOR_NUMBERS else value


# a name of the sections `Args` and `Attributes`, and what follows it, indented deeper
_ENTRY = re.compile(r"(?m)^    (\w+): (.*(?:\n      .*)*)")


def _texts(doc: str) -> dict[str, str]:
    return {name: " ".join(text.split()) for name, text in _ENTRY.findall(doc)}
