"""The native API for what is defined: jobs and schedules."""

from __future__ import annotations

from typing import Final

from zopio_trigger.server.answers import Answer, json_answer
from zopio_trigger.server.calls import Call
from zopio_trigger.server.routes import Field, Route
from zopio_trigger.transport.wire import Jobs, Schedules


async def jobs(call: Call) -> Answer:
    return json_answer(Jobs(jobs=await call.desk.list_jobs()))


async def schedules(call: Call) -> Answer:
    found = await call.desk.list_schedules(upcoming=call.number("upcoming", 1))
    return json_answer(Schedules(schedules=found))


ROUTES: Final = (
    Route("GET", "/api/v3/jobs", jobs, answer=Jobs, about="All jobs that any worker has advertised."),
    Route(
        "GET", "/api/v3/schedules", schedules, answer=Schedules, about="All schedules and when they fire next.",
        query=(Field("upcoming", "planned times to list, 0 to 100; default 1", "integer"),),
    ),
)  # fmt: skip
