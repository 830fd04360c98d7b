"""The description of the native API (`/openapi.json`), made from its routes and the structs they take and answer."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from zopio_trigger.server.routes import Field, Route
from zopio_trigger.transport.wire import Fault

_REFERENCE: Final = "#/components/schemas/{name}"
_LIMITED: Final = "1 to 512 characters, no control characters"


def openapi(routes: Iterable[Route], *, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of those of the routes that carry a description."""
    described = [route for route in routes if route.about]
    kinds = [kind for route in described for kind in (route.body, route.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, Fault], ref_template=_REFERENCE)
    schema_of = dict(zip([*kinds, Fault], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in described:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zopio-trigger",
            "version": version,
            "description": "Durable background jobs and event-driven workflows. Times are ISO 8601 in UTC.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "tr_…"}},
        },
        "security": [{"key": []}],
    }


def _operation(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.about,
        "operationId": _operation_id(route),
        "parameters": [*_in_path(route.path), *map(_in_query, route.query)],
        "responses": {
            "200": _success(route, schema_of),
            "default": {
                "description": "Why it was refused: " + ", ".join(f"{s.value} {s.phrase}" for s in _REFUSALS),
                "content": {"application/json": {"schema": schema_of[Fault]}},
            },
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": schema_of[route.body]}}}
    return operation


_REFUSALS: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def _operation_id(route: Route) -> str:
    words = [part.strip("{}") for part in route.path.split("/")[3:]]
    return "_".join([route.method.lower(), *words])


def _success(route: Route, schema_of: dict[Any, Any]) -> dict[str, Any]:
    if route.is_stream:
        return {"description": "Server-sent events.", "content": {"text/event-stream": {}}}
    return {"description": "Done.", "content": {"application/json": {"schema": schema_of[route.answer]}}}


def _in_path(path: str) -> list[dict[str, Any]]:
    names = [segment.strip("{}") for segment in path.split("/") if segment.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "description": _LIMITED, "schema": {"type": "string"}}
        for name in names
    ]


def _in_query(field: Field) -> dict[str, Any]:
    one = {"type": field.kind}
    schema: dict[str, Any] = {"type": "array", "items": one} if field.is_list else one
    parameter = {"name": field.name, "in": "query", "description": field.about, "schema": schema}
    return {**parameter, "style": "form", "explode": False} if field.is_list else parameter
