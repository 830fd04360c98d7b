"""An example of what a JSON Schema accepts: what the test form of a job is prefilled with.

Schemas come from clients, so nothing in one is trusted: any part may be missing, of the wrong kind, recursive
or huge. Knows JSON Schema only, nothing of codecs or jobs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from math import ceil, floor, isfinite
from typing import Any, Final
from urllib.parse import unquote

Schema = Mapping[str, Any]
# The references followed on the way to a value, outermost first.
Trail = tuple[str, ...]

# References inside each other, and values in one example: a page to read and edit, whatever the schema.
_MAX_REFERENCES: Final = 16
_MAX_VALUES: Final = 500
# Items of an array and characters of a string that a schema may ask for.
_MAX_ITEMS: Final = 10
_MAX_CHARACTERS: Final = 500
# Below this a multiple of it is any number, and dividing by it may overflow.
_SMALLEST_MULTIPLE: Final = 1e-9

_BY_FORMAT: Final = {
    "email": "ada@example.com",
    "idn-email": "ada@example.com",
    "name-email": "Ada <ada@example.com>",
    "uuid": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "uuid4": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "date-time": "2026-01-01T09:00:00Z",
    "date": "2026-01-01",
    "time": "09:00:00Z",
    "duration": "PT1H",
    "uri": "https://example.com/",
    "uri-reference": "/path",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv4network": "192.0.2.0/24",
    "ipvanyaddress": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "decimal": "1.00",
    "json-string": "{}",
}
_BY_LAST_WORD: Final = {
    "email": "ada@example.com",
    "url": "https://example.com/",
    "uri": "https://example.com/",
    "name": "Ada",
}
_BASE64: Final = "ZXhhbXBsZQ=="
_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def example(schema: object) -> object:
    """A value that `schema` most likely accepts; the same one for the same schema.

    Parameters:
        schema: a JSON Schema as decoded JSON; `$ref` within itself, `allOf`, `anyOf`, `oneOf` are followed.

    What the schema offers comes first (`examples`, `default`, `const`, the first of `enum`), then what its
    `format` means, its `minimum`, a value of its type. Objects get required fields only, arrays one item.
    Patterns are not read: a client's regular expression could hold us up. At most 500 values, `null` beyond.
    """
    try:
        return _Writer(schema).value(schema, "", ())
    except RecursionError:  # hundreds of objects inside each other, without a reference: nothing to show
        return {}


class _Writer:
    """One example in the making: the schema that references point into, and how many values are left."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = _MAX_VALUES

    def value(self, schema: object, name: str, trail: Trail) -> object:
        """A value for the property `name`, reached by following `trail`."""
        flat, trail = self._flat(schema, trail)
        offered = _offered(flat)
        if offered:
            return deepcopy(offered[0])
        options = flat.get("anyOf") or flat.get("oneOf")
        if isinstance(options, list) and options:
            return self.value(_merged(_without_options(flat), self._choice(options, trail)), name, trail)
        match _kind_of(flat):
            case "object":
                return self._object(flat, trail)
            case "array":
                return self._array(flat, name, trail)
            case "string":
                return _string(flat, name)
            case "integer" | "number" as kind:
                return _number(flat, is_whole=kind == "integer")
            case "boolean":
                return False
            case "any" if self._left > 0:
                return {}
            case _:
                return None

    def _flat(self, schema: object, trail: Trail) -> tuple[Schema, Trail]:
        """`schema` with its reference and its `allOf` put in, and the trail with the references followed."""
        self._left -= 1
        if self._left < 0:
            return {"type": "null"}, trail
        if not isinstance(schema, Mapping):
            return {}, trail
        flat: Schema = {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if len(trail) >= _MAX_REFERENCES:
                return {"type": "null"}, trail
            flat, trail = self._flat(self._target(reference), (*trail, reference))
        for part in _list(schema.get("allOf")):
            inner, trail = self._flat(part, trail)
            flat = _merged(flat, inner)
        return _merged(
            flat, {word: said for word, said in schema.items() if word not in ("$ref", "allOf")}
        ), trail

    def _target(self, reference: str) -> object:
        """What a reference such as `#/$defs/Order` points to; nothing where it leads elsewhere or nowhere."""
        if not reference.startswith("#"):
            return {}
        here: object = self._root
        for step in unquote(reference[1:]).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            here = here.get(key) if isinstance(here, Mapping) else None
        return here

    def _choice(self, options: list[object], trail: Trail) -> Schema:
        """The first option that is neither null nor what we are inside of already."""
        schemas = [option for option in options if isinstance(option, Mapping)]
        told = [option for option in schemas if option.get("type") != "null"]
        fresh = [option for option in told if not _repeats(option, trail)]
        return next(iter(fresh or [option for option in schemas if option not in told] or told), {})

    def _object(self, schema: Schema, trail: Trail) -> dict[str, object]:
        properties = _mapping(schema.get("properties"))
        required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
        other = schema.get("additionalProperties")
        made: dict[str, object] = {}
        for name in required:
            if self._left <= 0:
                break
            made[name] = self.value(properties.get(name, other), name, trail)
        for number in range(len(made), min(_count(schema, "minProperties", 0), _MAX_ITEMS)):
            if self._left > 0:
                made[f"key{number + 1}"] = self.value(other, "", trail)
        return made

    def _array(self, schema: Schema, name: str, trail: Trail) -> list[object]:
        items = schema.get("items")
        first = _list(schema.get("prefixItems"))[:_MAX_ITEMS]
        made = [self.value(item, name, trail) for item in first if self._left > 0]
        wanted = _count(schema, "minItems", 0)
        if not first and isinstance(items, Mapping) and not _repeats(items, trail) and self._left > 0:
            wanted = max(wanted, 1)
        wanted = min(wanted, _count(schema, "maxItems", _MAX_ITEMS), _MAX_ITEMS)
        return made + [self.value(items, name, trail) for _ in range(len(made), wanted) if self._left > 0]


def _offered(schema: Schema) -> list[object]:
    """What the schema itself gives as a value, best first."""
    examples = _list(schema.get("examples"))
    single = [schema[word] for word in ("example", "default", "const") if word in schema]
    return [*examples[:1], *single, *_list(schema.get("enum"))[:1]]


def _kind_of(schema: Schema) -> object:
    """The schema's type, or what its words tell about it; `any` when they tell nothing."""
    said = schema.get("type")
    if isinstance(said, list):
        return next((kind for kind in said if kind != "null"), "null")
    if said is not None:
        return said
    if not {"properties", "required", "additionalProperties"}.isdisjoint(schema):
        return "object"
    if not {"items", "prefixItems", "minItems"}.isdisjoint(schema):
        return "array"
    if not {"format", "pattern", "minLength", "maxLength"}.isdisjoint(schema):
        return "string"
    return "any" if {"minimum", "maximum", "multipleOf"}.isdisjoint(schema) else "number"


def _string(schema: Schema, name: str) -> str:
    known = _BY_FORMAT.get(str(schema.get("format")))
    if known is not None:
        return known
    if schema.get("contentEncoding") in ("base64", "base64url"):
        return _BASE64
    text = _string_for(name)
    least = min(_count(schema, "minLength", 0), _MAX_CHARACTERS)
    most = _count(schema, "maxLength", _MAX_CHARACTERS)
    return text.ljust(least, "x")[:most]


def _string_for(name: str) -> str:
    """What a field called `name` may hold: `userId` is `user_123`."""
    words = [word.lower() for word in _WORDS.findall(name[:_MAX_CHARACTERS])] or [""]
    if words[-1] in ("id", "ids"):
        return "_".join([*(words[:-1] or ["id"]), "123"])
    return _BY_LAST_WORD.get(words[-1], "string")


def _number(schema: Schema, *, is_whole: bool) -> float:
    """A number between the bounds: the smallest one when there is one, else 1 or the nearest to it."""
    low, high = _bounds(schema, is_whole=is_whole)
    number = low if low is not None else 1 if high is None else min(1, high)
    of = _bound(schema, "multipleOf")
    if of is None or of < _SMALLEST_MULTIPLE or not isfinite(number / of):
        return number
    multiple = ceil(number / of) * of
    return multiple if high is None or multiple <= high else floor(high / of) * of


def _bounds(schema: Schema, *, is_whole: bool) -> tuple[float | None, float | None]:
    """The least and the greatest value; one away from a bound that is itself excluded, where that fits."""
    low, high = _bound(schema, "minimum"), _bound(schema, "maximum")
    above, below = _bound(schema, "exclusiveMinimum"), _bound(schema, "exclusiveMaximum")
    if above is not None:
        low = above + _step_within(above, below if below is not None else high)
    if below is not None:
        high = below - _step_within(low if above is None else above, below)
    if not is_whole:
        return low, high
    return None if low is None else ceil(low), None if high is None else floor(high)


def _step_within(low: float | None, high: float | None) -> float:
    return 1 if low is None or high is None or high - low > 1 else (high - low) / 2


def _bound(schema: Schema, word: str) -> float | None:
    said = schema.get(word)
    if isinstance(said, bool) or not isinstance(said, int | float) or abs(said) > 1e300:
        return None
    return said


def _count(schema: Schema, word: str, otherwise: int) -> int:
    said = schema.get(word)
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else otherwise


def _repeats(schema: Schema, trail: Trail) -> bool:
    """Does `schema` lead back to something we are inside of?"""
    return schema.get("$ref") in trail or any(
        _repeats(part, trail) for part in _list(schema.get("allOf")) if isinstance(part, Mapping)
    )


def _merged(base: Schema, more: Schema) -> Schema:
    """Both schemas in one, as `allOf` means it: fields and requirements add up, other words of `more` win."""
    together = {**base, **more}
    if "properties" in base and "properties" in more:
        together["properties"] = {**_mapping(base["properties"]), **_mapping(more["properties"])}
    if "required" in base and "required" in more:
        together["required"] = [*_list(base["required"]), *_list(more["required"])]
    return together


def _without_options(schema: Schema) -> Schema:
    return {word: said for word, said in schema.items() if word not in ("anyOf", "oneOf")}


def _list(said: object) -> list[Any]:
    return said if isinstance(said, list) else []


def _mapping(said: object) -> Mapping[str, Any]:
    return said if isinstance(said, Mapping) else {}
