"""Welcome a new user now, and put them on the mailing list a day later.

    zopio-trigger dev examples/user_registration.py
    zopio-trigger send user.registered '{"userId": "user_123", "email": "ada@example.com", "name": "Ada"}'
    zopio-trigger runs list         # waiting; stop the server or kill it: the day goes on, and nothing is sent twice

or, with a clock that one can move:

    python examples/user_registration.py
"""

from __future__ import annotations

import asyncio
from typing import TypedDict

from zopio_trigger import IO, client
from zopio_trigger.testing import TestPlatform


class Registration(TypedDict):
    userId: str
    email: str
    name: str


async def send_email(to: str, template: str, data: dict[str, str]) -> None:
    """Stands for your mail provider."""
    print(f"{template} email to {to} ({data['name']})")


async def add_to_mailing_list(email: str) -> None:
    """Stands for your newsletter service."""
    print(f"{email} is on the mailing list")


@client.job(
    id="user-registration-workflow",
    name="User Registration Workflow",
    version="1.0.0",
    trigger=client.triggers.event(name="user.registered"),
)
async def user_registration(payload: Registration, io: IO) -> dict[str, bool]:
    email, name = payload["email"], payload["name"]
    await io.logger.info("Starting user registration workflow", {"userId": payload["userId"]})

    await io.run_task("send-welcome-email", send_email, email, "welcome", {"name": name})

    # The run is suspended: it takes no slot, and survives restarts and new versions of this code.
    await io.wait("wait-for-24-hours", {"seconds": 86_400})

    await io.run_task("add-to-mailing-list", add_to_mailing_list, email)
    return {"success": True}


async def main() -> None:
    async with TestPlatform(client) as platform:
        run = await platform.send(
            "user.registered", {"userId": "user_123", "email": "ada@example.com", "name": "Ada"}
        )
        await platform.settle()
        print(f"{run.job} {run.state}")
        await platform.advance(hours=24)
        print(f"{run.job} {run.state}")


if __name__ == "__main__":
    asyncio.run(main())
