"""Settings from the environment: which platform to talk to, with which key."""

from __future__ import annotations

import os

from zopio_trigger.errors import ConfigurationError

LOCAL_URL = "http://127.0.0.1:3030"
LOCAL_KEY = "tr_dev_local"
DEFAULT_STORE = "sqlite:///.zopio/dev.db"


def connection_of(api_url: str | None, api_key: str | None) -> tuple[str, str]:
    """The platform's address and key: as given, else from `TRIGGER_API_URL` and `TRIGGER_API_KEY`.

    Without an address, no key or a development key means the local development server. Any other key is an error: it
    is never sent to a host that nobody named.
    """
    url = api_url or os.environ.get("TRIGGER_API_URL")
    key = api_key or os.environ.get("TRIGGER_API_KEY") or LOCAL_KEY
    if url:
        return url.rstrip("/"), key
    if key.startswith("tr_dev_"):
        return LOCAL_URL, key
    raise ConfigurationError(
        f"TRIGGER_API_KEY is a key of another environment than development ({key[:8]}…) and TRIGGER_API_URL is not "
        "set; name the platform's address in TRIGGER_API_URL"
    )


def store_url() -> str:
    """Where the platform keeps its rows."""
    return os.environ.get("TRIGGER_STORE") or DEFAULT_STORE
