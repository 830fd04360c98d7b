"""The HTTP side of a platform as one ASGI application: the 2.x API, the native API, health and the page."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.applications import Starlette

from zopio_trigger.platform.platform import Platform
from zopio_trigger.server import health, page
from zopio_trigger.server.auth import Gate
from zopio_trigger.server.calls import DEFAULT_LIMITS, BodyLimits
from zopio_trigger.server.native import definitions, events, runs
from zopio_trigger.server.native.following import Following
from zopio_trigger.server.routes import Table
from zopio_trigger.server.streams import Streams
from zopio_trigger.server.v2 import events as v2_events
from zopio_trigger.server.v2 import runs as v2_runs

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names this machine has for itself; the 2.x tools use `localhost`."""


def create_app(
    platform: Platform, *, hosts: Collection[str] | None = LOOPBACK_HOSTS, shows_runs: bool = False,
    limits: BodyLimits = DEFAULT_LIMITS, gate: Gate | None = None,
) -> Starlette:  # fmt: skip
    """An application that serves a platform. The platform is started and stopped by whoever made it.

    Parameters:
        hosts: names that the `Host` header may carry; default those of this machine, which keeps web pages out
            that point their own name at it. None allows any: for servers behind a name of their own.
        shows_runs: list the last runs on the page at `/`, to anybody who can reach it, without a key. Only for
            servers that nobody but this machine can reach.
        limits: what a request may bring.
        gate: who may come in; default the holders of the platform's API keys.

    `app.state.streams.close()` ends all server-sent event streams; a server would wait for them when it stops.
    """
    streams = Streams()
    native = (*events.ROUTES, *runs.ROUTES, *Following(streams).routes(), *definitions.ROUTES)
    routes = (
        *v2_events.ROUTES,
        *v2_runs.ROUTES,
        *native,
        *health.routes(native),
        *page.routes(shows_runs=shows_runs),
    )
    table = Table(
        routes,
        platform=platform,
        gate=gate or Gate(find=platform.store.key, clock=platform.clock),
        limits=limits,
        hosts=hosts,
    )
    app = Starlette(routes=[table])
    app.state.streams = streams
    app.state.table = table
    return app
