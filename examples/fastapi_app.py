"""A FastAPI app that answers at once and leaves the slow part to a job.

    python examples/fastapi_app.py          # platform and jobs inside this process, runs kept in .zopio/web.db
    curl -X POST localhost:8000/users -H 'content-type: application/json' -d '{"email": "ada@example.com"}'

With TRIGGER_API_URL set the app only sends, and the jobs run in the process at that address:

    zopio-trigger dev examples/fastapi_app.py
    TRIGGER_API_URL=http://127.0.0.1:3030 python examples/fastapi_app.py
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, EmailStr

from zopio_trigger import IO, client, send_event
from zopio_trigger.composition import embedded


class NewUser(BaseModel):
    email: EmailStr


class User(NewUser):
    id: str


async def send_email(to: str) -> None:
    """Stands for your mail provider."""
    print(f"welcome email to {to}")


@client.job(id="send-welcome-email", version="1.0.0", trigger=client.triggers.event(name="user.created"))
async def send_welcome_email(user: User, io: IO) -> None:  # the payload, checked and as a model
    await io.run_task("send-email", send_email, user.email)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if os.environ.get("TRIGGER_API_URL"):
        yield
        return
    async with embedded(client, store="sqlite:///.zopio/web.db"):
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/users", status_code=202)
async def create_user(new: NewUser) -> dict[str, str]:
    user = User(id=f"user_{uuid4().hex}", email=new.email)
    # When this returns the event is on disk: the email will be sent even if the process dies now.
    receipt = await send_event("user.created", user, id=f"created-{user.id}")
    return {"userId": user.id, "runId": receipt.runs[0]}


@app.get("/runs/{run_id}")
async def show_run(run_id: str) -> dict[str, str]:
    run = await client.get_run(run_id)
    return {"job": run.job, "status": run.status}


if __name__ == "__main__":
    uvicorn.run(app, port=8000)
