"""The engine's inbox: messages come in order, wake whoever waits, and no wait outlasts its time."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine.inbox import Inbox, Wake


def waited(inboxes: Sequence[Inbox], seconds: float) -> bool:
    """Whether waiting at every one comes to an end."""

    def wait() -> None:
        for inbox in inboxes:
            assert inbox.wait(seconds) is None

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(60)
    return not thread.is_alive()


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-7, 1e-6, 2e-6, 2e-5])
def test_a_wait_of_microseconds_ends(seconds: float) -> None:
    # A time that runs out within the call is what a queue of the standard library takes for no end at all.
    assert waited([Inbox() for _ in range(2000)], seconds)


def test_a_message_that_is_there_is_not_waited_for() -> None:
    inbox, message = Inbox(), Wake()
    inbox.post(message)

    assert inbox.wait(0) is message
    assert inbox.wait(0) is None


def test_a_message_ends_a_wait() -> None:
    inbox, message = Inbox(), Wake()
    threading.Timer(0.02, inbox.post, [message]).start()

    assert inbox.wait(60) is message


def test_what_was_read_meanwhile_wakes_nobody() -> None:
    inbox = Inbox()
    inbox.post(Wake())
    assert len(list(inbox.read())) == 1

    later = Wake()
    threading.Timer(0.02, inbox.post, [later]).start()
    assert inbox.wait(60) is later


@given(st.lists(st.sampled_from(["post", "read", "wait"])))
def test_every_message_arrives_once_and_in_order(acts: list[str]) -> None:
    inbox = Inbox()
    posted: list[Wake] = []
    arrived: list[object] = []
    for act in acts:
        if act == "post":
            posted.append(Wake())
            inbox.post(posted[-1])
        elif act == "read":
            arrived.extend(inbox.read())
        elif (message := inbox.wait(0)) is not None:
            arrived.append(message)
    arrived.extend(inbox.read())

    assert list(map(id, arrived)) == list(map(id, posted))
