"""W1h: events sent over HTTP from another process, to a server that executes their jobs."""

from __future__ import annotations

import importlib.util
import secrets

from benchmarks import process
from benchmarks.children import http_load
from benchmarks.children.http_load import Asked
from benchmarks.disk import sync_p50_us
from benchmarks.workload import Repetition, Setting, Sizes, Unavailable, Workload

SERVER = "zopio_trigger.server.run"


def sending(setting: Setting) -> Repetition:
    """W1h: acknowledged events a second, one by one and in bulk, each against a server of its own."""
    if importlib.util.find_spec(SERVER) is None:
        raise Unavailable(f"not available yet: {SERVER} is missing")
    sizes = setting.sizes
    with setting.place.fresh() as spot:
        sync_us = sync_p50_us(spot.folder, sizes.disk_appends)
    return Repetition(
        {
            "events_per_s": _rate(setting, sizes.w1h_events, events_a_request=1),
            "bulk_events_per_s": _rate(setting, sizes.w1h_bulks, events_a_request=sizes.w1h_bulk),
        },
        {"fdatasync_p50_us": sync_us},
    )


def _rate(setting: Setting, requests: int, *, events_a_request: int) -> float:
    # Imported here because the server may be missing; `sending` says so first.
    from benchmarks.children import http_server

    api_key = f"tr_dev_{secrets.token_hex(16)}"
    connections = setting.sizes.w1h_connections if events_a_request == 1 else 1
    with (
        setting.place.fresh() as spot,
        process.start("http_server", http_server.Asked(spot.url, api_key)) as server,
    ):
        at = process.first_answer_of(server, http_server.Answer)
        asked = Asked(at.host, at.port, api_key, requests, events_a_request, connections)
        return process.run("http_load", asked, http_load.Answer).events_per_s


def _w1h_scene(sizes: Sizes) -> str:
    return (
        f"over HTTP from another process: {sizes.w1h_events:,} events one by one on {sizes.w1h_connections} "
        f"connections; {sizes.w1h_bulks} calls of {sizes.w1h_bulk:,} events"
    )


W1H = Workload("W1h", _w1h_scene, "none yet", sending)
