"""Every Monday at nine: make a report, then tell whoever listens that it is there.

    zopio-trigger dev examples/weekly_report.py
    zopio-trigger schedules next

or, with a clock that one can move:

    python examples/weekly_report.py
"""

from __future__ import annotations

import asyncio
from typing import TypedDict

from zopio_trigger import IO, client, send_event
from zopio_trigger.testing import TestPlatform


class ReportGenerated(TypedDict):
    type: str
    url: str


async def generate_report(period: str) -> str:
    """Stands for hours of reckoning."""
    return f"https://reports.example.com/{period}"


async def send_notification(url: str) -> None:
    # Sent again after a crash it is still one event: its id follows from the run and the task.
    await send_event("report.generated", {"type": "weekly", "url": url})


@client.job(
    id="weekly-report-generation",
    name="Weekly Report Generation",
    version="1.0.0",
    trigger=client.triggers.schedule(cron="0 9 * * 1"),  # every Monday at 9:00, UTC unless tz= says otherwise
)
async def weekly_report(payload: object, io: IO) -> dict[str, str]:
    await io.logger.info("Starting weekly report generation")
    url = await io.run_task("generate-report", generate_report, "weekly")
    await io.run_task("send-notification", send_notification, url)
    return {"reportUrl": url}


@client.job(id="announce-report", trigger=client.triggers.event(name="report.generated"))
async def announce_report(payload: ReportGenerated, io: IO) -> None:
    await io.logger.info("A report is there", {"type": payload["type"], "url": payload["url"]})


async def main() -> None:
    async with TestPlatform(client) as platform:  # its first of January 2026 is a Thursday
        await platform.advance(days=7)
        for run in await platform.runs():
            print(f"{run.job} {run.state}")


if __name__ == "__main__":
    asyncio.run(main())
