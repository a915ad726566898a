from __future__ import annotations

from havre.control.terminals.sessions import VALID, Session, Sessions

SESSION = Session("s-1", "0" * 12, "us-east-1", "node", "task", "main", "ecs:c_t_r", ("sh",))


def test_a_token_opens_its_session_once():
    sessions = Sessions()
    token = sessions.add(SESSION, 0.0)
    assert len(token) >= 64
    assert sessions.open("s-1", token + "x", 1.0) is None
    assert sessions.open("s-2", token, 1.0) is None
    assert sessions.open("s-1", token, 1.0) is SESSION
    assert sessions.open("s-1", token, 1.0) is None


def test_a_session_that_nobody_opens_goes():
    sessions = Sessions()
    token = sessions.add(SESSION, 0.0)
    assert sessions.count("task", "main", VALID) == 1
    assert sessions.count("task", "main", VALID + 1) == 0
    assert sessions.open("s-1", token, VALID + 1) is None


def test_those_of_a_container_are_counted_until_they_end():
    sessions = Sessions()
    token = sessions.add(SESSION, 0.0)
    assert sessions.count("task", "main", 0.0) == 1
    assert sessions.count("task", "other", 0.0) == 0
    sessions.open("s-1", token, 0.0)
    assert sessions.count("task", "main", 10 * VALID) == 1
    sessions.end("s-1")
    assert sessions.count("task", "main", 10 * VALID) == 0
