from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from havre.core.data_channel import messages as m
from havre.core.data_channel.reliable import AHEAD, WINDOW, Incoming, Outgoing


def message(number: int) -> m.Message:
    return m.Message(m.INPUT, number, b"%d" % number, m.DATA)


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=200))
def test_whatever_comes_is_used_once_and_in_order(arrivals):
    incoming, used, acknowledged = Incoming(), [], set()
    for number, room in arrivals:
        acknowledge, found = incoming.take(message(number), room)
        used += [f.number for f in found]
        if acknowledge:
            acknowledged.add(number)
        else:
            assert not found
    assert used == list(range(len(used)))
    assert set(used) <= acknowledged
    for number in range(31):  # a client sends again what was not acknowledged
        if number not in acknowledged:
            used += [f.number for f in incoming.take(message(number))[1]]
    assert used == list(range(31))


def test_what_comes_too_early_is_kept_within_bounds():
    incoming = Incoming()
    assert all(incoming.take(message(n))[0] for n in range(1, AHEAD + 1))
    assert incoming.take(message(AHEAD + 1)) == (False, ())
    assert incoming.take(message(5)) == (True, ())
    assert len(incoming.take(message(0))[1]) == AHEAD + 1


def test_there_is_room_for_a_window():
    outgoing = Outgoing()
    for n in range(WINDOW):
        assert outgoing.room and outgoing.number == n
        outgoing.sent(b"%d" % n, 0.0)
    assert not outgoing.room
    outgoing.acknowledged(17, 0.1)
    assert outgoing.room
    outgoing.acknowledged(17, 0.1)
    outgoing.acknowledged(100_000, 0.1)
    assert outgoing.room and not outgoing.settled


def test_the_oldest_is_sent_again_until_it_is_acknowledged():
    outgoing = Outgoing()
    outgoing.sent(b"a", 0.0)
    outgoing.sent(b"b", 0.0)
    assert outgoing.due(0.1) is None
    assert outgoing.due(0.5) == b"a"
    assert outgoing.due(0.55) is None
    assert outgoing.due(1.0) == b"a"
    outgoing.acknowledged(0, 1.0)
    assert outgoing.due(1.1) == b"b"
    outgoing.acknowledged(1, 1.2)
    assert outgoing.due(100.0) is None and outgoing.settled


@given(st.lists(st.integers(0, 240).map(lambda eighths: eighths / 8), max_size=50))
def test_a_message_is_never_forgotten_for_longer_than_a_second(trips):
    outgoing, now = Outgoing(), 0.0
    for n, trip in enumerate(trips):
        outgoing.sent(b"x", now)
        now += trip
        outgoing.acknowledged(n, now)
    outgoing.sent(b"last", now)
    assert outgoing.due(now + 1.0) == b"last"
    assert outgoing.due(now + 1.05) is None


def test_it_is_known_how_long_nothing_was_acknowledged():
    outgoing = Outgoing()
    assert outgoing.stuck_since is None
    outgoing.sent(b"a", 1.0)
    outgoing.sent(b"b", 2.0)
    assert outgoing.stuck_since == 1.0
    outgoing.acknowledged(0, 5.0)
    assert outgoing.stuck_since == 5.0
    outgoing.acknowledged(1, 6.0)
    assert outgoing.stuck_since is None
