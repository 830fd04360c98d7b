"""Retry: the delays of the 2.x SDK, what may be written for one, and that no attempt number breaks it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.retry import MAX_TIMEOUT_MS, Retry


def delays(retry: Retry, chance: float = 0.0) -> list[int]:
    found: list[int] = []
    while (delay := retry.delay_ms(len(found) + 1, chance)) is not None:
        found.append(delay)
    return found


def policy(options: dict[str, Any]) -> Retry:
    retry = Retry.of(options)
    assert retry is not None
    return retry


class TestDelays:
    # Computed by `@trigger.dev/core` 2.3.19 with `randomize: false`.
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, [1000, 1000, 1800, 3240]),
            ({"limit": 3}, [1000, 1000]),
            ({"limit": 1}, []),
            ({"limit": 0}, []),
            (
                {"limit": 8, "factor": 2, "minTimeoutInMs": 1000, "maxTimeoutInMs": 10000},
                [1000, 1000, 2000, 4000, 8000, 10000, 10000],
            ),
            ({"minTimeoutInMs": 0}, [1, 1, 2, 3]),
            (
                {"limit": 20, "factor": 3, "minTimeoutInMs": 500, "maxTimeoutInMs": 30000},
                [500, 500, 1500, 4500, 13500] + [30000] * 14,
            ),
        ],
    )
    def test_are_those_of_the_official_sdk(self, options: dict[str, Any], expected: list[int]) -> None:
        assert delays(policy(options | {"randomize": False})) == expected

    def test_jitter_multiplies_before_the_cap(self) -> None:
        retry = Retry(max_attempts=4, min_timeout_in_ms=1000, max_timeout_in_ms=1900, factor=1.2)

        assert delays(retry, chance=0.5) == [1500, 1500, 1800]
        assert delays(retry, chance=0.999) == [1900, 1900, 1900]

    def test_halves_are_rounded_up_as_in_javascript(self) -> None:
        assert Retry(min_timeout_in_ms=5).delay_ms(1, 0.5) == 8
        assert Retry(min_timeout_in_ms=1).delay_ms(1, 0.5) == 2

    def test_an_instant_is_the_delay_later(self) -> None:
        retry = Retry(max_attempts=2, randomize=False)

        assert retry.retry_at(1, 0.9, now_us=5) == 1_000_005
        assert retry.retry_at(2, 0.9, now_us=5) is None

    @pytest.mark.parametrize(
        ("factor", "delay"), [(1e308, 60_000), (2, 60_000), (1.0, 1_000), (0.5, 0), (0, 0), (1e-308, 0)]
    )
    def test_a_late_attempt_is_clamped(self, factor: float, delay: int) -> None:
        retry = Retry(max_attempts=1_000_000, factor=factor, randomize=False)

        assert retry.delay_ms(999_999, 0.0) == delay

    @given(
        retry=st.builds(
            Retry,
            max_attempts=st.integers(0, 1_000_000),
            min_timeout_in_ms=st.integers(0, MAX_TIMEOUT_MS),
            max_timeout_in_ms=st.integers(0, MAX_TIMEOUT_MS),
            factor=st.floats(0, allow_nan=False, allow_infinity=False) | st.integers(0, 10**308),
            randomize=st.booleans(),
        ),
        attempt=st.integers(-5, 2_000_000),
        chance=st.floats(0, 1, exclude_max=True),
    )
    def test_stay_within_their_bounds_whatever_the_attempt(
        self, retry: Retry, attempt: int, chance: float
    ) -> None:
        delay = retry.delay_ms(attempt, chance)

        if attempt >= retry.max_attempts:
            assert delay is None
        else:
            assert delay is not None
            assert 0 <= delay <= retry.max_timeout_in_ms


class TestPresets:
    def test_standard(self) -> None:
        expected = Retry(max_attempts=8, factor=1.8, min_timeout_in_ms=500, max_timeout_in_ms=30_000)
        assert Retry.standard() == expected

    def test_exponential(self) -> None:
        expected = Retry(max_attempts=8, factor=2, min_timeout_in_ms=1_000, max_timeout_in_ms=30_000)
        assert Retry.exponential() == expected


class TestOf:
    def test_without_a_retry_there_is_none(self) -> None:
        assert Retry.of(None) is None

    def test_a_retry_stays_itself(self) -> None:
        retry = Retry.standard()
        assert Retry.of(retry) is retry

    @pytest.mark.parametrize(
        "options",
        [
            {"maxAttempts": 3, "minTimeoutInMs": 1000, "maxTimeoutInMs": 10000, "factor": 2},
            {"limit": 3, "minTimeoutInMs": 1000, "maxTimeoutInMs": 10000.0, "factor": 2, "randomize": True},
            {"max_attempts": 3.0, "min_timeout_in_ms": 1000, "max_timeout_in_ms": 10000, "factor": 2},
        ],
    )
    def test_takes_the_spellings_of_all_sdks(self, options: dict[str, Any]) -> None:
        assert Retry.of(options) == Retry(max_attempts=3, max_timeout_in_ms=10_000, factor=2)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"maxAttemps": 3}, "no option 'maxAttemps'; did you mean maxAttempts?"),
            ({"max_timeout_ms": 3}, "did you mean max_timeout_in_ms?"),
            ({"qqq": 3}, "there are max_attempts, min_timeout_in_ms"),
            ({3: 3}, "no option 3"),
            ({"limit": 3, "maxAttempts": 4}, "says max_attempts twice"),
            ({"limit": 2.5}, "max_attempts is 2.5; it is to be an integer from 0 to 1,000,000"),
            ({"limit": None}, "max_attempts is None"),
            ({"limit": math.inf}, "max_attempts is inf"),
            ([], "retry is list"),
            (3, "retry is 3"),
        ],
    )
    def test_refuses_the_rest_with_a_hint(self, options: Any, words: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            Retry.of(options)

        assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_attempts": -1}, "max_attempts is -1"),
        ({"max_attempts": True}, "max_attempts is True"),
        ({"max_attempts": "3"}, "max_attempts is '3'"),
        ({"max_attempts": 1_000_001}, "from 0 to 1,000,000"),
        ({"min_timeout_in_ms": 1.5}, "min_timeout_in_ms is 1.5"),
        ({"max_timeout_in_ms": MAX_TIMEOUT_MS + 1}, "from 0 to 315,360,000,000"),
        ({"factor": -0.1}, "factor is -0.1; it is to be a finite number, at least 0"),
        ({"factor": math.nan}, "factor is nan"),
        ({"factor": math.inf}, "factor is inf"),
        ({"factor": 10**400}, "factor is 1000"),
        ({"factor": True}, "factor is True"),
        ({"factor": "2"}, "factor is '2'"),
        ({"randomize": 1}, "randomize is 1; it is to be True or False"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Retry(**options)

    assert words in str(refusal.value)
