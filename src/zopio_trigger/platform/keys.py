"""API keys: which environment a key opens. Only the SHA-256 of a key is kept."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from zopio_trigger.errors import ConfigurationError, InvalidInput
from zopio_trigger.model.names import ApiKeyName, parse_api_key
from zopio_trigger.model.records import ApiKey, Environment
from zopio_trigger.storage.port import Store

KINDS: Final[Mapping[str, str]] = {
    "dev": "development",
    "stg": "staging",
    "prod": "production",
    "prev": "preview",
}
"""Kind of environment by the slug in a key's prefix."""

HINT_LENGTH: Final = 4  # characters after the prefix that are kept to recognise a key by


def digest_of(key: str) -> str:
    """What a key is looked up by. Keys are long random strings, so a plain hash keeps them as secret as they are."""
    return sha256(key.encode()).hexdigest()


async def ensure_environment(store: Store, key: str, now: int) -> Environment:
    """The environment a secret key opens; environment and key are made when they are new. Safe to repeat.

    Parameters:
        key: a secret key, `tr_dev_…`, `tr_stg_…`, `tr_prod_…` or `tr_prev_…`. A new one opens the environment
            named by its prefix.
        now: the instant, in microseconds, to note as their creation.

    Raises:
        ConfigurationError: the key is malformed, public, or was revoked.
        StoreError: the store could not be read or written.
    """
    name = _secret_name(key)
    known = await store.key(digest_of(key))
    if known is None:
        return await _add(store, name, key, now)
    if known.revoked_at is not None:
        raise ConfigurationError(f"the API key {known.hint} was revoked; use another one")
    environments = await store.environments()
    return next(environment for environment in environments if environment.no == known.env_no)


def _secret_name(key: str) -> ApiKeyName:
    try:
        name = parse_api_key(key)
    except InvalidInput as error:
        raise ConfigurationError(f"TRIGGER_API_KEY: {error}") from error
    if name.is_public:
        raise ConfigurationError("TRIGGER_API_KEY holds a public key (pk_…); set the secret one (tr_…)")
    return name


async def _add(store: Store, name: ApiKeyName, key: str, now: int) -> Environment:
    environment = await store.add_environment(name.environment, KINDS[name.environment], now)
    prefix, _, secret = key.rpartition("_")
    hint = f"{prefix}_{secret[:HINT_LENGTH]}…"
    await store.add_key(ApiKey(digest_of(key), environment.no, hint, now, None))
    return environment
