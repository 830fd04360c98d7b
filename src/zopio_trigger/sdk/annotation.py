"""What a user's function says it takes and gives back: the annotations of its payload and of its result.

Knows functions, methods, partials, callable objects and classes, and what an annotation is made of.
Knows nothing about JSON: that is `codec`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import is_dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import Annotated, Any, Literal, NewType, TypeVar, get_args, get_origin, get_type_hints

from zopio_trigger.errors import ConfigurationError

# Words of pydantic that stand in `Annotated[...]`; msgspec would ignore them without a word.
_CONSTRAINT_PACKAGES = frozenset({"pydantic", "pydantic_core", "pydantic_extra_types", "annotated_types"})
# What makes an object callable; looked up on its class, as Python does.
_CALL = "__call__"
# What carries annotations itself.
_CARRIERS = (FunctionType, type, BuiltinFunctionType)


def return_annotation(function: Callable[..., object]) -> object:
    """What `function` says it returns, resolved; for an async function what awaiting it gives.

    Parameters:
        function: a function, method, partial, lambda, callable object or class (a class returns itself).

    Returns `Any` when nothing is said, or when what is said cannot be resolved (a class defined inside
    another function, a name imported for type checkers only). `-> None` gives `NoneType`.
    """
    definition = definition_of(function)
    if isinstance(definition, type):
        return definition
    try:
        raw = getattr(definition, "__annotations__", {}).get("return", Any)
        annotation = _resolved(raw, definition)
    except Exception:  # resolving evaluates the user's text, which may raise anything; results need no type
        return Any
    return _awaited(annotation)


def payload_annotation(function: Callable[..., object]) -> object:
    """What `function` says its payload is: the resolved annotation of its first positional parameter.

    Parameters:
        function: a job's function, method, partial, lambda or callable object. Arguments that a method or a
            partial has already bound are skipped. Other parameters need not be resolvable.

    Returns `Any` when the parameter is not annotated, or when there is none.

    Raises:
        ConfigurationError: the annotation names something that cannot be found where the function stands.
    """
    try:
        raw = _first_positional_annotation(function)
        return _resolved(raw, definition_of(function))
    except Exception as error:  # resolving evaluates the user's text, which may raise anything
        raise ConfigurationError(
            f"the payload's annotation of {function_name(function)} cannot be resolved: {error}. "
            "Define the type at module level, or hand it to the trigger with schema="
        ) from error


def definition_of(function: Callable[..., object]) -> Any:
    """The function or class that carries the annotations: what a method, partial or object is made of."""
    while True:
        if isinstance(function, _CARRIERS):
            return function
        if isinstance(function, MethodType):
            function = function.__func__
        elif isinstance(function, partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            return function
        else:
            return getattr(type(function), _CALL, None)


def function_name(function: Callable[..., object]) -> str:
    """What to call `function` in a message."""
    definition = definition_of(function)
    name = getattr(definition, "__qualname__", None) or repr(function)
    return str(name).rpartition("<locals>.")[2]


def type_name(annotation: object) -> str:
    """What to call an annotation in a message, as its author wrote it: `int`, `list[Order]`."""
    if annotation is None or annotation is NoneType:
        return "None"
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__qualname__.rpartition("<locals>.")[2]
    return str(annotation).replace("typing.", "")


def parts_of(annotation: object, *, into_models: bool = False) -> Iterator[object]:
    """Every class and every word of `Annotated` that `annotation` is made of, each once, fields included.

    Parameters:
        into_models: also walk the fields of pydantic models; without it they are one part each.
    """
    waiting = [annotation]
    seen: dict[int, object] = {}  # keeps the parts alive, so that an id means one part
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part
        yield part
        waiting.extend(_fields_of_model(part) if is_model(part) and into_models else _within(part))


def is_model(part: object) -> bool:
    """Is this a class that pydantic validates: a model, a pydantic dataclass, `EmailStr`, …?"""
    return isinstance(part, type) and (
        hasattr(part, "__get_pydantic_core_schema__") or hasattr(part, "__pydantic_core_schema__")
    )


def is_constraint(part: object) -> bool:
    """Is this a word in `Annotated[...]` that only pydantic understands?"""
    if isinstance(part, type):
        return False
    package = type(part).__module__.partition(".")[0]
    return package in _CONSTRAINT_PACKAGES or hasattr(type(part), "__get_pydantic_core_schema__")


def _first_positional_annotation(function: Callable[..., object]) -> object:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a builtin that does not tell
        return Any
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            return Any if parameter.annotation is parameter.empty else parameter.annotation
    return Any


def _resolved(raw: object, definition: object) -> object:
    """Evaluate one annotation where `definition` stands. Others may name what only type checkers import."""

    def holder() -> None: ...

    holder.__annotations__ = {"it": raw}
    origin = inspect.unwrap(definition) if callable(definition) else definition
    return get_type_hints(
        holder, getattr(origin, "__globals__", {}), _closure_of(origin), include_extras=True
    )["it"]


def _closure_of(function: object) -> dict[str, object]:
    """The names that `function` uses from the functions around it."""
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None)
    if code is None or cells is None:
        return {}
    names = zip(code.co_freevars, cells, strict=True)
    return {name: cell.cell_contents for name, cell in names if _is_filled(cell)}


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the name is assigned later in the function around it
        return False


def _awaited(annotation: object) -> object:
    """What awaiting gives, for `-> Awaitable[int]`, `-> Coroutine[Any, Any, int]`, `-> Future[int]`."""
    origin = get_origin(annotation) or annotation
    if not (isinstance(origin, type) and issubclass(origin, Awaitable)):
        return annotation
    arguments = get_args(annotation)
    return arguments[-1] if arguments else Any


def _within(part: object) -> tuple[object, ...]:
    origin = get_origin(part)
    if origin is Literal:
        return ()
    if origin is Annotated:
        return (*getattr(part, "__metadata__", ()), getattr(part, "__origin__", None))
    if origin is not None:
        return (origin, *get_args(part))
    if isinstance(part, NewType):
        return (part.__supertype__,)
    if isinstance(part, TypeVar):
        return (part.__bound__, *part.__constraints__)
    if hasattr(part, "__value__") and hasattr(part, "__type_params__"):  # `type Name = ...` of Python 3.12
        return (part.__value__,)
    return _fields_of(part) if isinstance(part, type) and _has_fields(part) else ()


def _has_fields(part: type) -> bool:
    """Is this a dataclass, TypedDict, NamedTuple, msgspec Struct or attrs class?"""
    if is_model(part):
        return False
    marks = ("__required_keys__", "_field_defaults", "__struct_fields__", "__attrs_attrs__")
    return is_dataclass(part) or any(hasattr(part, mark) for mark in marks)


def _fields_of(part: type) -> tuple[object, ...]:
    try:
        return tuple(get_type_hints(part, include_extras=True).values())
    except Exception:  # evaluates the user's text; the codec meets the same name later and reports it
        return ()


def _fields_of_model(part: object) -> tuple[object, ...]:
    fields = getattr(part, "__pydantic_fields__", {}).values()
    return tuple(inner for field in fields for inner in (field.annotation, *field.metadata))
