"""Five minutes: of deduplication ids, and of retried receives."""

from __future__ import annotations

from havre.core.queueing import Attempts, Deduplication, Message, Queue, Sent

WINDOW = 300_000


def test_an_id_is_known_for_five_minutes_from_its_first_message() -> None:
    known = Deduplication()
    first = Sent("k", 1000, "m", 1)
    known.note(1, first)
    assert known.find("k", 1000 + WINDOW - 1) is first
    assert known.find("k", 1000 + WINDOW) is None
    assert known.expire(1000 + WINDOW - 1) == 0
    second = Sent("k", 1000 + WINDOW, "n", 2)
    known.note(2, second)
    assert known.expire(1000 + WINDOW) == 1
    assert known.find("k", 1000 + WINDOW) is second
    known.forget(second)
    assert known.find("k", 1000 + WINDOW) is None
    assert known.expire(10 * WINDOW) == 2
    assert len(known) == 0


def test_an_attempt_is_answered_again_while_nothing_was_touched() -> None:
    queue, attempts = Queue(fifo=True), Attempts()
    for id in (1, 2):
        queue.add(Message(id, 0, group="g"), 0)
    given, _ = queue.receive(0, 10, 30_000)
    attempts.note("a", given, 0)
    again = attempts.again("a", queue.messages, 10)
    assert again is not None and list(again) == list(given)
    assert attempts.again("b", queue.messages, 10) is None
    queue.change(1, 1, 40_000, 10)
    assert attempts.again("a", queue.messages, 10) is None


def test_an_attempt_is_forgotten_after_five_minutes() -> None:
    queue, attempts = Queue(fifo=True), Attempts()
    queue.add(Message(1, 0, group="g"), 0)
    given, _ = queue.receive(0, 10, 10 * WINDOW)
    attempts.note("a", given, 0)
    assert attempts.again("a", queue.messages, WINDOW) is None
    attempts.note("b", given, WINDOW)
    assert attempts.again("b", queue.messages, WINDOW) is not None
