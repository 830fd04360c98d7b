import pytest

# The suites of the contract are not test modules by name, but their assertions should speak as clearly.
pytest.register_assert_rewrite(
    "tests.storage.contract", "tests.storage.contract_lifecycle", "tests.storage.contract_pruning",
    "tests.storage.contract_reads",
)  # fmt: skip
