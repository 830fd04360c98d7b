"""Pydantic models to JSON text and back, for users who have them; pydantic is imported here and only here."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from zopio_trigger.errors import ConfigurationError, InvalidInput, InvalidPayload
from zopio_trigger.model import json
from zopio_trigger.model.faults import words
from zopio_trigger.sdk.annotation import parts_of, type_name
from zopio_trigger.sdk.issues import issues_of_pydantic

if TYPE_CHECKING:
    from pydantic import TypeAdapter

# What pydantic writes in place of a SecretStr or SecretBytes.
_MASK = "*" * 10


class ModelCodec:
    """JSON text to what an annotation with pydantic models in it says, and back.

    A model is written under the aliases it is read by. Where it reads and writes a field under different
    names, it is written by field names and read by either. Computed fields are not written.

    Parameters:
        annotation: a model, or models in containers, unions, dataclasses: what `TypeAdapter` takes.

    Raises:
        ConfigurationError: pydantic cannot build a validator for it, or is older than 2.10.
    """

    def __init__(self, annotation: object) -> None:
        adapter = _adapter_for(annotation)
        from pydantic import ValidationError  # optional: present, since the user's class comes from it

        models = [part for part in parts_of(annotation, into_models=True) if isinstance(part, type)]
        one_name = all(_reads_what_it_writes(model) for model in models)
        self._read: Callable[[str], object] = (
            adapter.validate_json if one_name else _read_by_either_name(adapter, annotation)
        )
        self._write = partial(adapter.dump_python, round_trip=True, by_alias=one_name, warnings=False)
        self._has_secrets = any(hasattr(model, "get_secret_value") for model in models)
        self._mismatch = ValidationError
        self.adapter = adapter

    def decode(self, text: str) -> object:
        """The value in `text`.

        Raises:
            InvalidPayload: it does not fit, with every mismatch.
        """
        try:
            return self._read(text)
        except self._mismatch as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            raise InvalidPayload(issues_of_pydantic([dict(each) for each in details], text)) from error

    def encode(self, value: object, what: str) -> str:
        """`value` as ASCII JSON text.

        Raises:
            InvalidInput: it holds something JSON cannot carry, or a secret that would be stored as asterisks.
        """
        text = json.encode(self._written(value, what, mode="json"), what=what)
        if self._has_secrets and _MASK in text:
            _refuse(what, "it holds a secret, which pydantic writes as asterisks; return a reference to it")
        if "null" in text and _has_non_finite(self._written(value, what, mode="python")):
            _refuse(what, "it holds NaN or Infinity, which pydantic would turn into null")
        return text

    def plain(self, value: object, what: str) -> object:
        """`value` in JSON's own types, to stand in a larger one; raises as `encode` does."""
        return json.decode(self.encode(value, what))

    def _written(self, value: object, what: str, *, mode: Literal["json", "python"]) -> object:
        try:
            return self._write(value, mode=mode)
        except Exception as error:  # the model's own serializers ran: they may raise anything
            _refuse(what, words(error), error)


def _adapter_for(annotation: object) -> TypeAdapter[Any]:
    try:
        from pydantic import VERSION, TypeAdapter  # optional: the user's classes come from it
        from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
    except ImportError as error:
        raise ConfigurationError(
            f"{type_name(annotation)} holds constraints that only pydantic checks, and pydantic is not "
            "installed: install it, or write them with msgspec.Meta"
        ) from error
    if not hasattr(TypeAdapter, "rebuild"):
        raise ConfigurationError(
            f"{type_name(annotation)} needs pydantic 2.10 or newer, and {VERSION} is installed"
        )
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast(Any, annotation))
        adapter.rebuild(raise_errors=True)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"JSON cannot be turned into {type_name(annotation)}: {reason}") from error
    return adapter


def _read_by_either_name(adapter: TypeAdapter[Any], annotation: object) -> Callable[[str], object]:
    if "by_name" not in signature(adapter.validate_json).parameters:  # pydantic before 2.11
        raise ConfigurationError(
            f"{type_name(annotation)} reads a field under another name than it writes it: use pydantic 2.11 "
            "or newer, or give the field one alias="
        )
    return partial(adapter.validate_json, by_name=True)


def _reads_what_it_writes(model: type) -> bool:
    """Does every field of `model` accept the name it is written under?"""
    fields: dict[str, Any] = getattr(model, "__pydantic_fields__", {})
    config = getattr(model, "model_config", None) or getattr(model, "__pydantic_config__", None) or {}
    by_alias = config.get("validate_by_alias", True)
    return all(
        _accepts(field.serialization_alias or name, name, field.validation_alias if by_alias else None)
        for name, field in fields.items()
    )


def _accepts(written: str, name: str, read: Any) -> bool:
    """Is a field called `name`, read under the alias `read` if any, found where it was written?"""
    if read is None:
        return written == name
    return bool(written == read or written in getattr(read, "choices", ()))


def _has_non_finite(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_non_finite, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_has_non_finite, value))


def _refuse(what: str, reason: str, cause: Exception | None = None) -> NoReturn:
    raise InvalidInput(f"{what} cannot be turned into JSON: {reason}") from cause
