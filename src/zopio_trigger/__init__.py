"""Durable background jobs and event-driven workflows for Python.

from zopio_trigger import client, send_event

@client.job(id="send-welcome-email", trigger=client.triggers.event(name="user.created"))
async def send_welcome_email(payload, io):
    await io.logger.info("Sending welcome email", {"userId": payload["userId"]})
    await io.run_task("send-email", send_email, payload["email"])

await send_event("user.created", {"userId": "user_123", "email": "user@example.com"})
"""

from zopio_trigger.errors import (
    NonRetryable,
    RetryAt,
    TaskFailed,
    TaskTimeout,
    ZopioTriggerError,
)
from zopio_trigger.model.retry import Retry
from zopio_trigger.sdk.client import TriggerClient
from zopio_trigger.sdk.context import Context
from zopio_trigger.sdk.default import client, send_event
from zopio_trigger.sdk.io import IO
from zopio_trigger.sdk.limit import Limit
from zopio_trigger.sdk.syncio import SyncIO

__version__ = "0.1.0"

__all__ = [
    "IO",
    "Context",
    "Limit",
    "NonRetryable",
    "Retry",
    "RetryAt",
    "SyncIO",
    "TaskFailed",
    "TaskTimeout",
    "TriggerClient",
    "ZopioTriggerError",
    "client",
    "send_event",
]
