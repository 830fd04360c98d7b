"""From method and path to a handler. Paths are matched by segment on the path as it was sent, each segment decoded on
its own, so that an id may hold a slash (`%2F`); looking one up is a walk through dictionaries.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from zopio_trigger.errors import InvalidInput, ZopioTriggerError
from zopio_trigger.model.names import check_name
from zopio_trigger.platform.platform import Platform
from zopio_trigger.server.answers import Answer, Reply, error_answer, refusal
from zopio_trigger.server.auth import Gate
from zopio_trigger.server.calls import BodyLimits, Call, Gone, TooSlow

log = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[Reply]]

NO_ENVIRONMENT: Final = 0  # what open routes see; environments count from 1
_SHARED: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-headers", b"authorization, *"),  # the star does not include the first
]


class Field(Struct, frozen=True):
    """A query field, for the description of the API."""

    name: str
    about: str
    kind: str = "string"
    is_list: bool = False


class Route(Struct, frozen=True):
    """One path with one method.

    Parameters:
        path: `/api/v2/events/{id}`; a segment in braces stands for any name.
        is_open: answered without a key.
        is_shared: browsers may read it from pages of any origin (the key is what protects it).
        about, query, body, answer, is_stream: for the description of the API.
    """

    method: str
    path: str
    handler: Handler
    is_open: bool = False
    is_shared: bool = False
    about: str = ""
    query: tuple[Field, ...] = ()
    body: Any = None
    answer: Any = None
    is_stream: bool = False


Methods = dict[str, Route]
Found = tuple[Methods, tuple[str, ...]]


class Table(BaseRoute):
    """All routes of the platform. In Starlette's eyes it is one route, which also answers whatever is unknown under
    `/api`.

    Parameters:
        hosts: names that the `Host` header may carry, against pages that point their own name at this machine
            (DNS rebinding); None allows any.
    """

    def __init__(
        self, routes: Iterable[Route], *, platform: Platform, gate: Gate, limits: BodyLimits,
        hosts: Collection[str] | None,
    ) -> None:  # fmt: skip
        self.routes = tuple(routes)
        self._platform = platform
        self._gate = gate
        self._limits = limits
        self._hosts = hosts
        self._plain: dict[bytes, Methods] = {}  # paths without names in them: found without a walk
        self._tree = _Node()
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        methods = self._tree.grow(route.path.split("/")[1:]).methods
        methods[route.method] = route
        if "{" not in route.path:
            self._plain[route.path.encode()] = methods

    # --- as Starlette asks ------------------------------------------------------------------------------------

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        path = _path_of(scope)
        found = self.find(scope["method"], path)
        if found is None and not path.startswith(b"/api/"):
            return Match.NONE, {}
        return Match.FULL, {"zopio.found": found}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = await self._reply(scope, receive)
            await reply.send(receive, send)
        except Gone:
            return

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)

    # --- finding ----------------------------------------------------------------------------------------------

    def find(self, method: str, path: bytes) -> Found | None:
        """The methods of a path, and the names in it. Where a word of ours stands in the place of a name (an event
        may be called `bulk`), the path that knows the method is meant."""
        methods = self._plain.get(path)
        if methods is not None and method in methods:
            return methods, ()
        segments = [_decoded(segment) for segment in path.split(b"/")[1:]]
        found = list(self._tree.ends(segments))
        return next((end for end in found if _route(method, end[0]) is not None), found[0] if found else None)

    # --- answering --------------------------------------------------------------------------------------------

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        headers = dict(scope["headers"])
        if self._hosts is not None and _host_in(headers) not in self._hosts:
            return _wrong_host(headers)
        found: Found | None = scope["zopio.found"]
        method: str = scope["method"]
        if found is None:
            return refusal(
                HTTPStatus.NOT_FOUND, f"there is nothing at {scope['path'][:200]}; see /openapi.json"
            )
        methods, names = found
        route = _route(method, methods)
        if route is None:
            return _other_method(method, methods)
        reply = await self._call(route, names, scope, headers, receive)
        if route.is_shared and isinstance(reply, Answer):
            reply.headers += _SHARED
        return reply

    async def _call(
        self,
        route: Route,
        names: tuple[str, ...],
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
    ) -> Reply:
        """Run the handler. Whatever goes wrong in it becomes an answer."""
        try:
            env_no = (
                NO_ENVIRONMENT
                if route.is_open
                else await self._gate.environment_of(headers.get(b"authorization"))
            )
            desk = self._platform.desk(env_no)
            return await route.handler(
                Call(self._platform, desk, scope, headers, receive, names, self._limits)
            )
        except ZopioTriggerError as error:
            return error_answer(error)
        except TooSlow as error:
            return refusal(HTTPStatus.REQUEST_TIMEOUT, str(error), (b"connection", b"close"))
        except Gone:
            raise
        except Exception:  # the outermost loop of a request: its sender is told, the others are not affected
            log.exception("%s %s failed", scope["method"], scope["path"])
            return refusal(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the platform failed on this request; its log says why"
            )


class _Node:
    """A place in the tree of paths."""

    __slots__ = ("any", "methods", "next")

    def __init__(self) -> None:
        self.methods: Methods = {}
        self.next: dict[str, _Node] = {}
        self.any: _Node | None = None  # where a name stands

    def grow(self, segments: list[str]) -> _Node:
        if not segments:
            return self
        first, *rest = segments
        if first.startswith("{"):
            self.any = self.any or _Node()
            return self.any.grow(rest)
        return self.next.setdefault(first, _Node()).grow(rest)

    def ends(self, segments: list[str | None], names: tuple[str, ...] = ()) -> Iterator[Found]:
        """All that a path can mean, words of ours before names."""
        if not segments:
            if self.methods:
                yield self.methods, names
            return
        first, *rest = segments
        if first in self.next:
            yield from self.next[first].ends(rest, names)
        if first is not None and self.any is not None and _is_name(first):
            yield from self.any.ends(rest, (*names, first))


def _path_of(scope: Scope) -> bytes:
    """The path below the place where the application is mounted, as it was sent."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    root: str = scope.get("root_path", "")
    return raw.removeprefix(quote(root).encode()) if root else raw


def _decoded(segment: bytes) -> str | None:
    try:
        return (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
    except UnicodeDecodeError:
        return None


def _is_name(text: str) -> bool:
    """Whether anything can have this name: what the store cannot hold is not there, and is not looked up."""
    try:
        check_name(text, "")
    except InvalidInput:
        return False
    return True


def _host_in(headers: dict[bytes, bytes]) -> str:
    """The name in the `Host` header, without its port."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _wrong_host(headers: dict[bytes, bytes]) -> Answer:
    return refusal(
        HTTPStatus.FORBIDDEN,
        f"this server is only for this machine and does not answer to the name {_host_in(headers)[:100]!r}; "
        "use http://127.0.0.1 or http://localhost",
    )


def _route(method: str, methods: Methods) -> Route | None:
    """What answers a method. `HEAD` is answered like `GET`, the server leaving the body out; a stream has no end."""
    route = methods.get(method)
    if route is not None or method != "HEAD":
        return route
    as_get = methods.get("GET")
    return None if as_get is None or as_get.is_stream else as_get


def _other_method(method: str, methods: Methods) -> Answer:
    allowed = sorted({*methods, "OPTIONS", *(["HEAD"] if _route("HEAD", methods) else [])})
    allow = (b"allow", ", ".join(allowed).encode())
    if method != "OPTIONS":
        message = f"{method[:20]} is not possible here; use {' or '.join(sorted(methods))}"
        return refusal(HTTPStatus.METHOD_NOT_ALLOWED, message, allow)
    answer = Answer(b"", headers=[allow])
    if any(route.is_shared for route in methods.values()):
        answer.headers += [*_SHARED, (b"access-control-allow-methods", allow[1])]
    return answer
