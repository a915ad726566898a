"""Queues against a model that looks at all messages each time: what may be received, in which order, and what is left."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from havre.core.queueing import DELAYED, IN_FLIGHT, VISIBLE, Expired, Message, Missing, NotInFlight, Queue, TooLong

HIDDEN = 30_000
GROUPS = st.sampled_from(["", "a", "b", "c"])


class Letter:
    """What the model knows of a message. ``due`` None is visible."""

    def __init__(self, id: int, sent: int, group: str, due: int | None) -> None:
        self.id, self.sent, self.group, self.due = id, sent, group, due
        self.flying = False
        self.received = 0


class QueueMachine(RuleBasedStateMachine):
    fifo = False

    @initialize()
    def begin(self) -> None:
        self.queue = Queue(self.fifo)
        self.now, self.last = 1_000_000, 0
        self.letters: dict[int, Letter] = {}
        self.receipts: list[tuple[int, int]] = []
        self.removed: dict[int, int] = {}
        """Id → when it was sent."""

    def _tick(self) -> None:
        for letter in self.letters.values():
            if letter.due is not None and letter.due <= self.now:
                letter.due, letter.flying = None, False

    def _free(self, letter: Letter) -> bool:
        """Whether it may be received now, as the first of a call."""
        if letter.due is not None:
            return False
        if not self.fifo:
            return True
        mates = [each for each in self.letters.values() if each.group == letter.group]
        return letter.id == min(each.id for each in mates)

    @rule(group=GROUPS, delay=st.sampled_from([0, 0, 0, 10_000]))
    def send(self, group: str, delay: int) -> None:
        self.last += 1
        due = self.now + delay if delay else 0
        self.queue.add(Message(self.last, self.now, due, group), self.now)
        self.letters[self.last] = Letter(self.last, self.now, group, due or None)

    @rule(most=st.integers(1, 10), hidden=st.sampled_from([0, HIDDEN]), lives=st.sampled_from([0, 0, 2]))
    def receive(self, most: int, hidden: int, lives: int) -> None:
        self._tick()
        free = [each for each in self.letters.values() if self._free(each)]
        given, dead = self.queue.receive(self.now, most, hidden, lives)
        assert len(given) <= most
        assert bool(given or dead) == bool(free), "somebody waits although there is something"
        for message in dead:
            letter = self.letters.pop(message.id)
            assert letter.due is None and letter.received >= lives > 0
            self.removed[message.id] = message.sent
        self._check_order([m.id for m in given])
        for message in given:
            letter = self.letters[message.id]
            letter.received += 1
            letter.due, letter.flying = (self.now + hidden, True) if hidden else (None, False)
            assert message.received == letter.received
            self.receipts.append((message.id, message.received))

    def _check_order(self, given: list[int]) -> None:
        assert len(set(given)) == len(given)
        assert all(self.letters[id].due is None for id in given)
        if not self.fifo:
            return
        for group in {self.letters[id].group for id in given}:
            mates = sorted(each.id for each in self.letters.values() if each.group == group)
            mine = [id for id in given if self.letters[id].group == group]
            assert mine == mates[: len(mine)], "a message was passed over by one behind it"

    @precondition(lambda self: self.receipts)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self._tick()
        id, receipt = data.draw(st.sampled_from(self.receipts))
        letter = self.letters.get(id)
        late = letter is not None and (receipt < letter.received or not letter.flying)
        if self.fifo and late:
            with pytest.raises(Expired):
                self.queue.delete(id, receipt, self.now)
            return
        gone = self.queue.delete(id, receipt, self.now)
        if letter is None or receipt < letter.received:
            assert gone is None
        else:
            assert gone is not None
            del self.letters[id]
            self.removed[id] = gone.sent

    @precondition(lambda self: self.receipts)
    @rule(data=st.data(), hidden=st.sampled_from([0, 5_000, 60_000, 43_200_000]))
    def change(self, data: st.DataObject, hidden: int) -> None:
        self._tick()
        id, receipt = data.draw(st.sampled_from(self.receipts))
        letter = self.letters.get(id)
        try:
            self.queue.change(id, receipt, hidden, self.now)
        except Missing:
            assert letter is None or (self.fifo and receipt < letter.received)
        except NotInFlight:
            assert letter is not None and not letter.flying and (self.fifo or letter.due is not None)
        except TooLong:
            assert hidden == 43_200_000
        else:
            assert letter is not None and (receipt == letter.received or not self.fifo)
            assert letter.flying or (not self.fifo and letter.due is None), "only standard queues hide again"
            letter.due, letter.flying = (self.now + hidden, True) if hidden else (None, False)

    @precondition(lambda self: self.removed and self.fifo)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        """The disk did not let go of one."""
        id = data.draw(st.sampled_from(sorted(self.removed)))
        sent = self.removed.pop(id)
        letter = Letter(id, sent, "a", None)
        letter.received = 1 + max((r for i, r in self.receipts if i == id), default=0)  # no old receipt is good for it
        self.queue.add(Message(id, sent, 0, "a", received=letter.received), self.now)
        self.letters[id] = letter

    @rule(seconds=st.sampled_from([1, 9, 31, 100]))
    def wait(self, seconds: int) -> None:
        self.now += 1000 * seconds

    @rule(age=st.sampled_from([10_000, 100_000]))
    def expire(self, age: int) -> None:
        gone = {m.id for m in self.queue.expire(self.now - age)}
        assert gone == {each.id for each in self.letters.values() if each.sent < self.now - age}
        for id in gone:
            del self.letters[id]

    @rule()
    def clear(self) -> None:
        if self.last % 7 == 0:
            self.queue.clear()
            self.letters.clear()

    @invariant()
    def counts_and_states_agree(self) -> None:
        self._tick()
        self.queue.tick(self.now)
        states = [(m.id, m.state) for m in self.queue.messages.values()]
        assert sorted(states) == sorted(
            (each.id, VISIBLE if each.due is None else IN_FLIGHT if each.flying else DELAYED)
            for each in self.letters.values()
        )
        counts = [sum(state == wanted for _, state in states) for wanted in (VISIBLE, DELAYED, IN_FLIGHT)]
        assert [self.queue.visible, self.queue.delayed, self.queue.in_flight] == counts

    @invariant()
    def who_waits_is_woken_in_time(self) -> None:
        dues = [each.due for each in self.letters.values() if each.due is not None]
        due = self.queue.next_due()
        assert not dues or (due is not None and due <= min(dues))


class FifoMachine(QueueMachine):
    fifo = True


_SETTINGS = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestStandard: Any = QueueMachine.TestCase
TestStandard.settings = _SETTINGS
TestFifo: Any = FifoMachine.TestCase
TestFifo.settings = _SETTINGS
