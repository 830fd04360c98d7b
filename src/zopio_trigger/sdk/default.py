"""The pre-configured client, for applications that need only one."""

from __future__ import annotations

from zopio_trigger.sdk.client import TriggerClient

client = TriggerClient("zopio-trigger")
send_event = client.send_event
