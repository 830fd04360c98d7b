"""Events: recorded once by id, delivered at once or later, each delivery one run for every job that listens."""

from __future__ import annotations

from typing import Any

import pytest

from tests.engine.kit import Kit
from tests.factories import NOW, a_job, a_run, a_seat, an_event
from zopio_trigger.engine.effects import Changed, LineReady, Start, TimerSet
from zopio_trigger.errors import Conflict, NotFound
from zopio_trigger.model.commands import CancelEvent, DeliverEvent, SendEvent, SendEvents
from zopio_trigger.model.trigger import EventTrigger, InvokeTrigger, text_of

HOUR = 3_600_000_000


def an_order(**changes: Any) -> SendEvent:
    fields: dict[str, Any] = {"env_no": 1, "id": "evt_A", "name": "order.placed", "payload": "{}"} | changes
    return SendEvent(**fields)


def a_listener(id: str = "bill", filter: dict[str, Any] | None = None, **changes: Any) -> Any:
    trigger = text_of(EventTrigger(("order.placed",), filter, changes.pop("source", "trigger.dev")))
    return a_job(id=id, trigger=trigger, **changes)


# --- at once


def test_an_event_starts_one_run_for_every_job_that_listens() -> None:
    kit = Kit(a_listener("bill"), a_listener("ship", version="2.0.0", priority=5), a_job(id="other"))

    receipt = kit.ask(an_order())

    assert (receipt.id, receipt.runs, receipt.jobs) == ("evt_A", ("run_A", "run_A-2"), ("bill", "ship"))
    assert (receipt.created_at, receipt.is_duplicate) == (NOW + 1, False)
    bill, ship = kit.changes.runs.values()
    assert (bill.job, bill.state, bill.event_id, bill.revision) == ("bill", "ready", "evt_A", 1)
    assert (ship.job, ship.job_version, ship.priority, ship.queue) == ("ship", "2.0.0", 5, "ship")


def test_an_event_is_stored_as_it_was_sent() -> None:
    kit = Kit()

    kit.ask(
        an_order(
            payload='{"a":1e2}', user_id="order-1", source="shop", context='{"ip":"::1"}', timestamp=5, is_test=True,
            account="acme", origin_run="run_9",
        )
    )  # fmt: skip

    event = kit.only_event
    assert event == an_event(
        id="evt_A", user_id="order-1", name="order.placed", source="shop", created_at=NOW + 1, timestamp=5,
        deliver_at=NOW + 1, delivered_at=NOW + 1, is_test=True, origin_run="run_9", account="acme",
        payload='{"a":1e2}', context='{"ip":"::1"}',
    )  # fmt: skip


def test_an_event_nobody_listens_to_is_stored_all_the_same() -> None:
    kit = Kit(a_job())

    assert kit.ask(an_order()).runs == ()
    assert kit.only_event.id == "evt_A"


def test_a_run_of_a_test_event_is_a_test() -> None:
    kit = Kit(a_listener())

    kit.ask(an_order(is_test=True))

    assert kit.only_run.is_test


def test_a_run_is_leased_in_the_batch_that_makes_it_and_told_with_its_event() -> None:
    kit = Kit(a_listener(), a_seat(jobs=frozenset({"bill"})))

    kit.ask(an_order())

    run = kit.only_run
    assert (run.state, run.holder, run.token, run.revision) == ("executing", "w1", 1, 1)
    [start] = kit.told(Start)
    assert start.event == kit.only_event
    assert kit.rows.seats["w1"].executing == {"run_A": None}


def test_a_run_without_a_worker_is_left_ready_and_its_line_is_named() -> None:
    kit = Kit(a_listener())

    kit.ask(an_order())

    assert kit.only_run.state == "ready"
    assert kit.told(LineReady) == [LineReady((1, "bill", ""))]
    assert [effect.run.id for effect in kit.told(Changed)] == ["run_A"]


# --- who listens


@pytest.mark.parametrize(
    ("payload", "starts"),
    [
        ('{"total": 10}', True), ('{"total": 10.0}', True), ('{"total": "10"}', False), ('{"total": true}', False),
        ('{"total": 11}', False), ("{}", False), ("null", False), ("[10]", False),
    ],
)  # fmt: skip
def test_a_filter_lets_the_payloads_through_that_match(payload: str, starts: bool) -> None:
    kit = Kit(a_listener(filter={"total": [10]}))

    assert bool(kit.ask(an_order(payload=payload)).runs) == starts


def test_a_filter_of_one_job_is_no_business_of_another() -> None:
    kit = Kit(a_listener("bill", {"paid": [True]}), a_listener("ship"), a_listener("mail", {"paid": [False]}))

    assert kit.ask(an_order(payload='{"paid": true}')).jobs == ("bill", "ship")


def test_a_source_must_be_the_one_listened_to() -> None:
    kit = Kit(a_listener("bill", source="shop"), a_listener("ship"))

    assert kit.ask(an_order(source="shop")).jobs == ("bill",)
    assert kit.ask(an_order(id="evt_B")).jobs == ("ship",)


def test_an_event_stays_in_its_environment() -> None:
    kit = Kit(a_listener(env_no=2))

    assert kit.ask(an_order()).runs == ()


def test_a_job_that_is_not_triggered_by_events_starts_only_when_it_is_named() -> None:
    kit = Kit(a_job(id="bill", trigger=text_of(InvokeTrigger())))

    assert kit.ask(an_order()).runs == ()
    assert kit.ask(an_order(id="evt_B", job="bill")).jobs == ("bill",)


def test_an_event_for_one_job_reaches_no_other_and_skips_its_filter() -> None:
    kit = Kit(a_listener("bill", {"paid": [True]}), a_listener("ship"))

    assert kit.ask(an_order(job="bill")).jobs == ("bill",)


@pytest.mark.parametrize("later", [{}, {"deliver_after": HOUR}])
def test_an_event_for_a_job_nobody_knows_is_refused_while_the_sender_listens(later: dict[str, Any]) -> None:
    kit = Kit(a_listener(env_no=2))

    with pytest.raises(NotFound, match="no job 'bill' is known"):
        kit.ask(an_order(job="bill", **later))

    assert not kit.changes


# --- the same id again


def test_the_first_event_with_an_id_wins() -> None:
    kit = Kit(a_listener())
    kit.ask(an_order(user_id="order-1", payload='{"n":1}'))

    again = kit.ask(an_order(id="evt_B", user_id="order-1", payload='{"n":2}'))

    assert (again.id, again.runs, again.is_duplicate, again.payload_differs) == ("order-1", (), True, True)
    assert again.created_at == NOW + 1
    assert kit.only_event.payload == '{"n":1}'
    assert len(kit.changes.runs) == 1


@pytest.mark.parametrize(
    ("payload", "differs"), [('{ "b":2, "a":1 }', False), ('{"a":1,"b":3}', True), ('{"a":1.0,"b":2}', True)]
)
def test_a_payload_differs_when_it_says_something_else(payload: str, differs: bool) -> None:
    kit = Kit()
    kit.ask(an_order(user_id="order-1", payload='{"a":1,"b":2}'))

    assert kit.ask(an_order(id="evt_B", user_id="order-1", payload=payload)).payload_differs == differs


def test_the_same_id_with_another_name_differs() -> None:
    kit = Kit()
    kit.ask(an_order(user_id="order-1"))

    assert kit.ask(an_order(id="evt_B", user_id="order-1", name="order.paid")).payload_differs


def test_an_id_sent_in_an_earlier_batch_is_found_in_the_store_once_trust_is_gone() -> None:
    kit = Kit(an_event(id="evt_A", user_id="order-1", name="order.placed"))
    kit.rows.is_trusting = False

    receipt = kit.ask(an_order(id="evt_B", user_id="order-1"))

    assert (receipt.id, receipt.is_duplicate, receipt.payload_differs) == ("order-1", True, False)
    assert not kit.changes


def test_an_id_is_taken_in_its_own_environment_only() -> None:
    kit = Kit()
    kit.ask(an_order(user_id="order-1"))

    assert not kit.ask(an_order(id="evt_B", env_no=2, user_id="order-1")).is_duplicate


def test_a_senders_id_that_looks_like_one_of_ours_is_its_own() -> None:
    kit = Kit(an_event(id="evt_A"))
    kit.rows.is_trusting = False

    assert not kit.ask(an_order(id="evt_B", user_id="evt_A")).is_duplicate


@pytest.mark.parametrize("user_id", [None, "order-1"])
def test_a_command_submitted_again_answers_as_it_did_the_first_time(user_id: str | None) -> None:
    kit = Kit(a_listener())
    first = kit.ask(an_order(user_id=user_id))
    kit.commit()
    kit.stored["runs_made", "evt_A"] = [("run_A", "bill")]
    kit.rows.is_trusting = False  # the store has refused the second insert

    assert kit.ask(an_order(user_id=user_id)) == first
    assert not kit.changes


# --- several at once


def test_events_sent_together_are_answered_in_their_order() -> None:
    kit = Kit(a_listener())

    receipts = kit.ask(SendEvents(tuple(an_order(id=f"evt_{n}", user_id=f"order-{n}") for n in range(3))))

    assert [receipt.id for receipt in receipts] == ["order-0", "order-1", "order-2"]
    assert list(kit.changes.runs) == ["run_0", "run_1", "run_2"]


def test_an_id_twice_among_events_sent_together_is_one_event() -> None:
    kit = Kit(a_listener())

    first, second = kit.ask(
        SendEvents((an_order(user_id="order-1"), an_order(id="evt_B", user_id="order-1", payload="[]")))
    )

    assert (first.is_duplicate, second.is_duplicate, second.payload_differs) == (False, True, True)
    assert list(kit.changes.events) == ["evt_A"]


def test_one_refused_event_refuses_all_that_were_sent_together() -> None:
    kit = Kit(a_listener())

    with pytest.raises(NotFound):
        kit.ask(SendEvents((an_order(), an_order(id="evt_B", job="unknown"))))

    assert not kit.changes


# --- later


def test_a_delayed_event_is_stored_without_runs_and_sets_a_timer() -> None:
    kit = Kit(a_listener())

    receipt = kit.ask(an_order(deliver_after=HOUR))

    assert (receipt.id, receipt.runs) == ("evt_A", ())
    assert (kit.only_event.deliver_at, kit.only_event.delivered_at) == (NOW + 1 + HOUR, None)
    assert kit.told(TimerSet) == [TimerSet(NOW + 1 + HOUR)]
    assert not kit.changes.runs


def test_an_instant_wins_over_a_delay() -> None:
    kit = Kit()

    kit.ask(an_order(deliver_at=NOW + 5 * HOUR, deliver_after=HOUR))

    assert kit.only_event.deliver_at == NOW + 5 * HOUR


@pytest.mark.parametrize("past", [{"deliver_at": NOW - HOUR}, {"deliver_after": 0}, {"deliver_after": -5}])
def test_an_instant_that_has_passed_is_now(past: dict[str, Any]) -> None:
    kit = Kit(a_listener())

    assert kit.ask(an_order(**past)).runs == ("run_A",)
    assert kit.only_event.delivered_at == NOW + 1


DELAYED = an_event(id="evt_A", name="order.placed", deliver_at=NOW + HOUR, delivered_at=None)


def test_a_delayed_event_makes_its_runs_when_it_is_due_with_ids_of_that_time() -> None:
    kit = Kit(a_listener("bill"), a_listener("ship"), DELAYED)

    runs = kit.ask(DeliverEvent(1, "evt_A", "run_LATER"), now=NOW + HOUR)

    assert runs == ("run_LATER", "run_LATER-2")
    assert (kit.only_event.delivered_at, kit.only_event.revision) == (NOW + HOUR, 2)
    assert {run.event_id for run in kit.changes.runs.values()} == {"evt_A"}
    assert {run.created_at for run in kit.changes.runs.values()} == {NOW + HOUR}


def test_a_delayed_event_is_told_with_the_run_it_starts() -> None:
    kit = Kit(a_listener(), a_seat(jobs=frozenset({"bill"})), DELAYED)

    kit.ask(DeliverEvent(1, "evt_A", "run_LATER"))

    [start] = kit.told(Start)
    assert start.event is not None
    assert start.event.id == "evt_A"


def test_an_event_is_delivered_once() -> None:
    kit = Kit(a_listener(), DELAYED)
    kit.ask(DeliverEvent(1, "evt_A", "run_B"))

    assert kit.ask(DeliverEvent(1, "evt_A", "run_C")) == ()
    kit.commit()

    assert kit.ask(DeliverEvent(1, "evt_A", "run_D")) == ()
    assert not kit.changes


# --- cancelled


@pytest.mark.parametrize("id", ["evt_A", "order-1"])
def test_a_delayed_event_can_be_cancelled_by_either_id(id: str) -> None:
    kit = Kit(an_event(id="evt_A", user_id="order-1", deliver_at=NOW + HOUR, delivered_at=None))

    event = kit.ask(CancelEvent(1, id))

    assert (event.cancelled_at, event.revision) == (NOW + 1, 2)
    assert kit.only_event == event


def test_a_cancelled_event_is_not_delivered() -> None:
    kit = Kit(a_listener(), DELAYED)
    kit.ask(CancelEvent(1, "evt_A"))
    kit.commit()

    assert kit.ask(DeliverEvent(1, "evt_A", "run_B")) == ()
    assert not kit.changes


@pytest.mark.parametrize("user_id", [None, "order-1"])
def test_an_event_cancelled_and_due_in_one_batch_stays_cancelled(user_id: str | None) -> None:
    kit = Kit(a_listener(), an_event(id="evt_A", user_id=user_id, deliver_at=NOW, delivered_at=None))

    kit.ask(CancelEvent(1, user_id or "evt_A"))
    runs = kit.ask(DeliverEvent(1, "evt_A", "run_B"))

    assert runs == ()
    assert (kit.only_event.cancelled_at, kit.only_event.delivered_at) == (NOW + 1, None)


def test_cancelling_twice_is_fine_and_keeps_the_first_time() -> None:
    kit = Kit(DELAYED)
    first = kit.ask(CancelEvent(1, "evt_A"))
    kit.commit()

    again = kit.ask(CancelEvent(1, "evt_A"))

    assert again.cancelled_at == first.cancelled_at
    assert not kit.changes


def test_a_delivered_event_cannot_be_cancelled() -> None:
    kit = Kit(an_event(id="evt_A"))

    with pytest.raises(Conflict, match="event evt_A was delivered already; cancel its runs"):
        kit.ask(CancelEvent(1, "evt_A"))


def test_an_event_of_another_environment_is_not_found() -> None:
    kit = Kit(DELAYED)

    with pytest.raises(NotFound, match="event evt_A not found"):
        kit.ask(CancelEvent(2, "evt_A"))


# --- limits per key


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        ('{"customer": {"id": "acme"}}', "acme"), ('{"customer": {"id": 7}}', "7"),
        ('{"customer": {"id": 7.5}}', "7.5"),
        ('{"customer": {"id": true}}', "true"), ('{"customer": {"id": {"a": 1}}}', '{"a":1}'), ("{}", ""),
        ('{"customer": {"id": null}}', ""), ('{"customer": "acme"}', ""), ("[1]", ""), ("null", ""),
        ('{"customer": {"id": "' + "x" * 999 + '"}}', "x" * 256), (r'{"customer": {"id": "a\u0000b"}}', "a\ufffdb"),
        ('{"customer": {"id": "' + r"\ud83e\udd8a" * 300 + '"}}', "\U0001f98a" * 256),
    ],
)  # fmt: skip
def test_a_run_waits_in_the_line_of_its_payloads_key(payload: str, key: str) -> None:
    kit = Kit(a_listener(queue="line", limit=1, limit_key="customer.id"))

    kit.ask(an_order(payload=payload))

    assert kit.only_run.line == (1, "line", key)


def test_runs_of_different_events_never_share_a_row() -> None:
    kit = Kit(a_listener(), a_run(id="run_A", event_id="evt_A"))

    kit.ask(an_order(id="evt_B"))

    assert list(kit.changes.runs) == ["run_B"]
