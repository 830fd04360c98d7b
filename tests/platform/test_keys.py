"""API keys and the environments they open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.factories import NOW
from zopio_trigger.errors import ConfigurationError
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.records import ApiKey
from zopio_trigger.platform.keys import digest_of, ensure_environment
from zopio_trigger.storage.port import Store
from zopio_trigger.storage.sqlite.store import SQLiteStore


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = SQLiteStore(":memory:", clock=ManualClock())
    await made.open()
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("key", "slug", "kind"),
    [
        ("tr_dev_local", "dev", "development"),
        ("tr_stg_abc123", "stg", "staging"),
        ("tr_prod_abc123", "prod", "production"),
        ("tr_prev_abc123", "prev", "preview"),
    ],
)
async def test_a_new_key_makes_the_environment_its_prefix_names(
    store: Store, key: str, slug: str, kind: str
) -> None:
    environment = await ensure_environment(store, key, NOW)

    stored = await store.key(digest_of(key))
    assert (environment.slug, environment.kind, environment.created_at) == (slug, kind, NOW)
    assert stored is not None
    assert (stored.env_no, stored.revoked_at) == (environment.no, None)


async def test_ensuring_twice_changes_nothing(store: Store) -> None:
    first = await ensure_environment(store, "tr_dev_local", NOW)
    second = await ensure_environment(store, "tr_dev_local", NOW + 1)

    assert second == first
    assert len(await store.environments()) == 1


async def test_two_keys_of_one_kind_open_one_environment(store: Store) -> None:
    first = await ensure_environment(store, "tr_dev_one", NOW)

    assert await ensure_environment(store, "tr_dev_two", NOW) == first


async def test_a_key_opens_the_environment_it_was_made_for(store: Store) -> None:
    other = await store.add_environment("customer-7", "production", NOW)
    await store.add_key(ApiKey(digest_of("tr_prod_seven"), other.no, "tr_prod_seve…", NOW, None))

    assert await ensure_environment(store, "tr_prod_seven", NOW) == other


async def test_of_a_key_only_its_digest_and_its_first_characters_are_kept(store: Store) -> None:
    await ensure_environment(store, "tr_prod_abcdefgh12345678", NOW)

    stored = await store.key(digest_of("tr_prod_abcdefgh12345678"))
    assert stored is not None
    assert stored.hint == "tr_prod_abcd…"
    assert "efgh" not in repr(stored)


async def test_a_revoked_key_is_refused_by_its_hint(store: Store) -> None:
    environment = await store.add_environment("dev", "development", NOW)
    await store.add_key(ApiKey(digest_of("tr_dev_old"), environment.no, "tr_dev_ol…", NOW, NOW))

    with pytest.raises(ConfigurationError, match=r"tr_dev_ol… was revoked"):
        await ensure_environment(store, "tr_dev_old", NOW)


@pytest.mark.parametrize("key", ["", "secret", "tr_live_abc", "tr_dev_", "tr_dev_a b", "pk_dev_abc"])
async def test_what_is_no_secret_key_is_refused_and_not_shown(store: Store, key: str) -> None:
    with pytest.raises(ConfigurationError, match="TRIGGER_API_KEY"):
        await ensure_environment(store, key, NOW)

    assert await store.environments() == []
