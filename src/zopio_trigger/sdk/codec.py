"""JSON text to what a user's function is annotated with, and back: payloads of jobs and results of tasks.

`codec_for` gives the codec of an annotation, or refuses it when the job is defined. Results are more lenient
than payloads: where a function's result has no type that JSON can be turned into, it is the plain JSON value.
Validation is msgspec's, or pydantic's where the annotation holds models of it (`models`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Final, Protocol, Union, get_args, get_origin
from weakref import ref

import msgspec

from zopio_trigger.errors import ConfigurationError, InvalidInput, InvalidPayload
from zopio_trigger.model import json
from zopio_trigger.model.faults import words
from zopio_trigger.sdk.annotation import (
    definition_of,
    is_constraint,
    is_model,
    parts_of,
    return_annotation,
    type_name,
)
from zopio_trigger.sdk.issues import PartMismatchError, issues_of_msgspec
from zopio_trigger.sdk.models import ModelCodec
from zopio_trigger.sdk.shape import Shape, shape_of

# Annotations whose codecs are kept; more than a program has, few enough for one that makes types as it goes.
_KEPT_CODECS = 1024
# Characters of a result that an error message shows.
_SHOWN = 80


class Codec(Protocol):
    """One annotation's way from JSON text to a value and back. `decode(encode(v))` has the annotated type."""

    def decode(self, text: str) -> object:
        """The value in `text`, fresh on each call.

        Parameters:
            text: JSON that has passed the door (`model/json`).

        Raises:
            InvalidPayload: the text does not fit the annotation; its issues say where and why. What a class's
                own validation raises beside ValueError, TypeError and AssertionError comes through as it is.
        """

    def encode(self, value: object, what: str) -> str:
        """`value` as ASCII JSON text. Whether it fits the annotation shows when it is decoded.

        Parameters:
            what: how an error calls it: `"the result of task 'charge'"`.

        Raises:
            InvalidInput: JSON cannot carry it.
        """


def codec_for(annotation: object) -> Codec:
    """The codec of an annotation; the same one for the same annotation.

    Parameters:
        annotation: None, `Any`, `object` or a missing annotation for the plain JSON value; JSON's own types;
            dataclass, TypedDict, NamedTuple, msgspec Struct, pydantic model or pydantic dataclass; datetime,
            date, time, timedelta, UUID, Decimal, bytes, Enum, Literal, Annotated; list, set, tuple, dict and
            unions of these. (`type(None)` reads `null` only.) Names in it must be resolved: see
            `payload_annotation`.

    Raises:
        ConfigurationError: JSON cannot be turned into it; names the type and what to use.

    Members of a union that JSON's types cannot tell apart (two dataclasses) are tried in order, but only
    where the union is the whole annotation.
    """
    try:
        hash(annotation)
    except TypeError:  # metadata that cannot be hashed, as in Annotated[int, {"unit": "cm"}]
        return _build(annotation)
    return _built(annotation)


def result_codec(function: Callable[..., object]) -> Codec:
    """The codec of what `function` returns; kept as long as the function lives.

    Methods, partials and callable objects share the codec of the function they are made of. The plain JSON
    value is what one gets without an annotation, with `-> None`, with one that cannot be resolved, and with
    one that JSON cannot be turned into (a generator, an arbitrary class).
    """
    known = _known.get(id(function))
    if known is not None and known[0]() is function:
        return known[1]
    return _codec_of_definition(definition_of(function))


def encode_result(function: Callable[..., object], value: object, key: str) -> tuple[str, object]:
    """The text to store for what a task returned, and the value a later execution will read from it.

    Parameters:
        function: the task's function.
        value: what it returned.
        key: the task's key, for the message.

    Raises:
        InvalidInput: JSON cannot carry the value, or the function returned something else than it says.
    """
    codec = result_codec(function)
    text = codec.encode(value, f"the result of task {key!r}")
    try:
        return text, codec.decode(text)
    except InvalidPayload as error:
        raise InvalidInput(
            f"task {key!r} returned {_shown(text)} but is annotated {type_name(return_annotation(function))}"
            f" ({error}); correct the annotation or what it returns",
            path=error.issues[0][0],
        ) from error


def decode_result(function: Callable[..., object], text: str, key: str) -> object:
    """The result of a task that completed earlier, fresh on each call.

    Parameters:
        text: what `encode_result` gave then.

    Raises:
        InvalidInput: the function's annotation has changed since, and the stored result does not fit it.
    """
    try:
        return result_codec(function).decode(text)
    except InvalidPayload as error:
        raise InvalidInput(
            f"the stored result of task {key!r} is {_shown(text)}, but its function is now annotated "
            f"{type_name(return_annotation(function))} ({error}); rename the task to run it again, "
            "or let the annotation accept both",
            path=error.issues[0][0],
        ) from error


class PlainCodec:
    """The JSON value as it is."""

    def decode(self, text: str) -> object:
        return json.decode(text)

    def encode(self, value: object, what: str) -> str:
        return json.encode(value, what=what)


PLAIN: Final = PlainCodec()
_SAYS_NOTHING: Final = (None, Any, object, inspect.Parameter.empty)


class TypedCodec:
    """What msgspec validates. Pydantic models in it (a Struct with a model as field) are left to pydantic."""

    def __init__(self, annotation: object) -> None:
        self.annotation = annotation
        self._shape: Shape = shape_of(annotation)
        self.models = {model: ModelCodec(model) for model in self._shape.models}
        hook = self._read_model if self.models else None
        self._read: Callable[[str], object] = msgspec.json.Decoder(annotation, dec_hook=hook).decode
        self._is_direct = not self.models and not self._shape.has_keys_to_spell

    def decode(self, text: str) -> object:
        try:
            return self._read(text)
        except msgspec.DecodeError as error:
            raise InvalidPayload(issues_of_msgspec(error, text, self._read)) from error
        except TypeError as error:  # a list as member of a set[Any]
            raise InvalidPayload((("$", str(error)),)) from error

    def encode(self, value: object, what: str) -> str:
        return json.encode(value if self._is_direct else self._spelled(value, what), what=what)

    def _read_model(self, model: type, value: object) -> object:
        try:
            return self.models[model].decode(json.encode(value, what=model.__qualname__))
        except InvalidPayload as error:
            raise PartMismatchError(error) from error

    def _spelled(self, value: object, what: str) -> object:
        """`value` in JSON's own types.

        Keys that are not str (which the door refuses) become text, models what their serializers say.
        """

        def plain(part: object) -> object:
            for model in type(part).__mro__:
                if model in self.models:
                    return self.models[model].plain(part, what)
            return _plain(part, what)

        try:
            return msgspec.to_builtins(value, str_keys=self._shape.has_keys_to_spell, enc_hook=plain)
        except InvalidInput:
            raise
        except Exception as error:  # the value's own code ran: it may raise anything
            raise InvalidInput(f"{what} cannot be turned into JSON: {words(error)}") from error


class UnionCodec:
    """A union whose members JSON's types do not tell apart: the first member that a text fits without rest.

    Parameters:
        members: the union's own, in its order.
    """

    def __init__(self, members: tuple[object, ...]) -> None:
        self.members = tuple((member, codec_for(member)) for member in members)

    def decode(self, text: str) -> object:
        accepted: list[object] = []
        issues: list[tuple[str, str]] = []
        for member, codec in self.members:
            try:
                value = codec.decode(text)
            except InvalidPayload as error:
                issues += [(path, f"{said} (as {type_name(member)})") for path, said in error.issues]
                continue
            if _is_whole(codec, value, text):
                return value
            accepted.append(value)
        if not accepted:
            raise InvalidPayload(tuple(issues))
        return accepted[0]

    def encode(self, value: object, what: str) -> str:
        own = next((codec for member, codec in self.members if member is type(value)), None)
        text = (own or PLAIN).encode(value, what)
        if own and type(again := self.decode(text)) is not type(value):
            raise InvalidInput(
                f"{what} is a {type_name(type(value))} that would be read back as {type_name(type(again))}: "
                "give them different fields, or make them msgspec Structs with tag=True"
            )
        return text


@lru_cache(maxsize=_KEPT_CODECS)
def _built(annotation: object) -> Codec:
    return _build(annotation)


def _build(annotation: object) -> Codec:
    if any(annotation is nothing for nothing in _SAYS_NOTHING):
        return PLAIN
    parts = tuple(parts_of(annotation))
    has_models = any(is_model(part) or is_constraint(part) for part in parts)
    if not has_models:
        return _typed(annotation)
    if not any(_is_of_msgspec(part) for part in parts):
        try:
            return ModelCodec(annotation)
        except ConfigurationError:
            if any(is_constraint(part) for part in parts):
                raise  # msgspec would ignore what only pydantic checks
    return _typed(annotation)


def _typed(annotation: object) -> Codec:
    try:
        return TypedCodec(annotation)
    except ConfigurationError:
        if get_origin(annotation) not in (Union, UnionType):
            raise
    return UnionCodec(get_args(annotation))


def _is_of_msgspec(part: object) -> bool:
    return isinstance(part, msgspec.Meta) or hasattr(part, "__struct_fields__")


def _is_whole(codec: Codec, value: object, text: str) -> bool:
    """Does `value` hold everything that stands in `text`?"""
    try:
        again = codec.encode(value, "a member of the union")
    except InvalidInput:  # it reads what it does not write, such as "NaN" as a float
        return False
    return json.canonical(again) == json.canonical(text)


def _plain(part: object, what: str) -> object:
    """An object that msgspec does not know, as the door would write it."""
    if isinstance(part, str):
        return str.__str__(part)
    if isinstance(part, int):
        return int.__int__(part)
    if isinstance(part, float):
        return float.__float__(part)
    if isinstance(part, Mapping):
        return dict(part)
    if is_model(type(part)):
        return ModelCodec(type(part)).plain(part, what)
    raise TypeError(f"{type(part).__name__} has no JSON form")


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


# By identity: every task looks here, and a WeakKeyDictionary alone takes 0.5 µs. The reference says whether
# the id still means this function, and takes the entry away when the function goes.
_known: dict[int, tuple[ref[Any], Codec]] = {}


def _codec_of_definition(definition: Any) -> Codec:
    identity = id(definition)
    known = _known.get(identity)
    if known is not None and known[0]() is definition:
        return known[1]
    codec = _codec_of_results(definition)
    try:
        _known[identity] = (ref(definition, lambda gone: _forget(identity, gone)), codec)
    except TypeError:  # nothing watches a method of a builtin, and nothing is annotated there
        return PLAIN
    return codec


def _forget(identity: int, gone: ref[Any]) -> None:
    known = _known.get(identity)
    if known is not None and known[0] is gone:
        del _known[identity]


def _codec_of_results(definition: Any) -> Codec:
    annotation = return_annotation(definition)
    if annotation is NoneType:
        return PLAIN
    try:
        return codec_for(annotation)
    except ConfigurationError:
        return PLAIN
