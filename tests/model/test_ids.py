"""Ids sort by creation and never repeat; secrets cannot be guessed."""

from __future__ import annotations

import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zopio_trigger.errors import InvalidInput
from zopio_trigger.model.clock import ManualClock
from zopio_trigger.model.ids import Ids, created_at, lowest, prefix_of, secret

NOW = 1_800_000_000_123_456
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Highest(random.Random):
    """Chance that draws nothing but ones, to run out of them."""

    def getrandbits(self, k: int, /) -> int:
        return (1 << k) - 1


def ids_at(now: int, chance: random.Random | None = None) -> tuple[ManualClock, Ids]:
    clock = ManualClock(now)
    return clock, Ids(clock, chance or random.Random(7))


def number(text: str) -> int:
    value = 0
    for character in text.rpartition("_")[2]:
        value = value * 32 + CROCKFORD.index(character)
    return value


def test_an_id_is_a_prefix_and_a_ulid() -> None:
    _, ids = ids_at(NOW)

    new = ids.new("run")

    assert re.fullmatch(f"run_[0-7][{CROCKFORD}]{{25}}", new)
    assert number(new) >> 80 == NOW // 1000


def test_the_time_is_written_as_the_specification_has_it() -> None:
    _, ids = ids_at(1_469_918_176_385_000)  # the example of the ULID specification

    assert ids.new("evt").startswith("evt_01ARYZ6S41")


def test_the_random_part_is_all_that_was_drawn() -> None:
    _, ids = ids_at(NOW, random.Random(7))

    assert number(ids.new("run")) & ((1 << 80) - 1) == random.Random(7).getrandbits(80)


def test_ids_of_one_millisecond_count_up() -> None:
    _, ids = ids_at(NOW)

    made = [number(ids.new("run")) for _ in range(5000)]

    assert [later - made[0] for later in made] == list(range(5000))


def test_counting_carries_into_the_upper_bits() -> None:
    class NearCarry(random.Random):
        def getrandbits(self, k: int, /) -> int:
            return (41 << 20) | ((1 << 20) - 2)

    _, ids = ids_at(NOW, NearCarry())

    first, second, third = (number(ids.new("run")) for _ in range(3))

    assert (second - first, third - second) == (1, 1)
    assert third & ((1 << 20) - 1) == 0


def test_running_out_of_a_millisecond_borrows_the_next() -> None:
    clock, ids = ids_at(NOW, Highest())

    first, second = ids.new("run"), ids.new("run")

    assert second > first
    assert created_at(second) == created_at(first) + 1000
    clock.advance(1)
    assert ids.new("run") > second


def test_another_millisecond_draws_anew() -> None:
    clock, ids = ids_at(NOW)
    first = number(ids.new("run"))

    clock.advance(0.001)
    second = number(ids.new("run"))

    assert second >> 80 == (first >> 80) + 1
    assert (second ^ first) & ((1 << 80) - 1) > 1


def test_ids_keep_growing_when_the_clock_goes_back() -> None:
    clock, ids = ids_at(NOW)
    before = ids.new("run")

    clock.set(NOW - 3_600_000_000)
    after = ids.new("run")

    assert number(after) == number(before) + 1


@given(moves=st.lists(st.integers(-3_000, 3_000), max_size=60), seed=st.integers())
@settings(deadline=None)
def test_however_the_clock_moves_every_id_is_greater_than_the_one_before(moves: list[int], seed: int) -> None:
    clock, ids = ids_at(NOW, random.Random(seed))
    made = []
    for move in moves:
        clock.set(clock.now() + move)
        made += [ids.new("run"), ids.new("run")]

    assert made == sorted(set(made))


@given(now=st.integers(0, 253_402_300_799_999_999), prefix=st.sampled_from(["run", "evt", "task", "api_key"]))
@settings(deadline=None)
def test_an_id_tells_its_prefix_and_when_it_was_made(now: int, prefix: str) -> None:
    _, ids = ids_at(now)

    new = ids.new(prefix)

    assert prefix_of(new) == prefix
    assert created_at(new) == now // 1000 * 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "run",
        "run_",
        "_01ARYZ6S41TSV4RRFFQ69G5FAV",
        "run_01aryz6s41tsv4rrffq69g5fav",
        "run_01ARYZ6S41TSV4RRFFQ69G5FA",
        "run_01ARYZ6S41TSV4RRFFQ69G5FAVV",
        "run_81ARYZ6S41TSV4RRFFQ69G5FAV",
        "run_01ARYZ6S41TSV4RRFFQ69G5FAU",
        "run_01ARYZ6S41TSV4RRFFQ69G5FAV\n",
        "x" * 1_000_000,
    ],
    ids=range(11),
)
def test_what_is_no_id_of_ours_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not an id of ours"):
        prefix_of(text)
    with pytest.raises(InvalidInput, match="not an id of ours"):
        created_at(text)


def test_a_secret_is_twenty_letters_and_digits_and_never_the_same() -> None:
    secrets = {secret() for _ in range(500)}

    assert len(secrets) == 500
    assert {len(it) for it in secrets} == {20}
    assert set("".join(secrets)) == set(string.ascii_letters + string.digits)
    assert len(secret(32)) == 32


def test_a_secret_of_no_characters_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing secret"):
        secret(0)


@pytest.mark.parametrize("at", [0, 1_000, 1_767_225_600_123_000, 2**41 * 1_000])
def test_the_lowest_id_of_an_instant_parts_those_made_before_it_from_the_rest(at: int) -> None:
    bound = lowest("run", at)

    assert Ids(ManualClock(at), random.Random(1)).new("run") >= bound
    assert Ids(ManualClock(at + 999), random.Random(1)).new("run") >= bound
    assert at == 0 or Ids(ManualClock(at - 1), random.Random(1)).new("run") < bound


def test_the_lowest_id_of_an_instant_before_1970_is_that_of_1970() -> None:
    assert lowest("run", -5) == lowest("run", 0) == "run_0000000000"
