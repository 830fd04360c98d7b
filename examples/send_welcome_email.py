"""Send a welcome email when a user has signed up.

    zopio-trigger dev examples/send_welcome_email.py        # a server that keeps its runs between restarts
    zopio-trigger send user.created '{"userId": "user_123", "email": "user@example.com"}'

or, everything in this process:

    python examples/send_welcome_email.py
"""

from __future__ import annotations

import asyncio
from typing import TypedDict

from zopio_trigger import IO, client, send_event
from zopio_trigger.composition import embedded


class NewUser(TypedDict):
    userId: str
    email: str


async def send_email(to: str, template: str) -> None:
    """Stands for your mail provider."""
    print(f"{template} email to {to}")


@client.job(
    id="send-welcome-email",
    name="Send Welcome Email",
    version="1.0.0",
    trigger=client.triggers.event(name="user.created"),
)
async def send_welcome_email(payload: NewUser, io: IO) -> dict[str, bool]:
    await io.logger.info("Sending welcome email", {"userId": payload["userId"]})
    # Once this task has completed it never runs again, whatever happens to the process.
    await io.run_task("send-email", send_email, payload["email"], "welcome")
    return {"success": True}


async def main() -> None:
    async with embedded(client) as platform:
        receipt = await send_event("user.created", {"userId": "user_123", "email": "user@example.com"})
        run = await platform.ended(receipt.runs[0])
        print(f"{run.job} {run.status}")


if __name__ == "__main__":
    asyncio.run(main())
