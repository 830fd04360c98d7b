"""The SQLite store keeps the contract, on a file and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.contract import StoreContract
from tests.storage.contract_fixtures import Adapter
from tests.storage.contract_lifecycle import DurableContract
from tests.storage.sqlite import SQLite


class TestAFile(StoreContract, DurableContract):
    """The contract on a file."""

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Adapter:
        return SQLite(tmp_path / "store.db")


class TestInMemory(StoreContract):
    """The contract in memory."""

    @pytest.fixture
    def adapter(self) -> Adapter:
        return SQLite(":memory:")
