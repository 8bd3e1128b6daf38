"""Answers that come piece by piece, and callers that leave."""

import pytest

from fakes.scripted_inference import WORDS, ScriptedInference, scripted
from parfocal.client import Cancelled, Client, Retries, ServerFailed
from parfocal.rpc import Loading, WireError

FAST = Retries(attempts=3, first_s=0.0)


class Broken(WireError):
    """A failure in the middle of an answer."""

    status = "UNAVAILABLE"
    reason = "BROKEN"


def test_the_pieces_make_the_whole() -> None:
    with scripted(ScriptedInference()) as address, Client(address) as client:
        stream = client.stream("Hello")
        pieces = list(stream)

    assert "".join(piece.text for piece in pieces) == "".join(WORDS)
    assert [piece.token_ids for piece in pieces[:-1]] == [(0,), (1,), (2,), (3,)]
    assert pieces[-1].answer == stream.result()
    assert stream.result().text == "".join(WORDS)


def test_the_result_can_be_asked_for_without_the_pieces() -> None:
    with scripted(ScriptedInference()) as address, Client(address) as client:
        assert client.stream("Hello").result().text == "".join(WORDS)


def test_a_loop_that_is_left_cancels_the_request() -> None:
    servicer = ScriptedInference(holds=True)
    with scripted(servicer) as address, Client(address) as client:
        for piece in client.stream("Hello"):
            assert piece.text == "Once"
            break
        del piece

        assert servicer.left.wait(30)


def test_leaving_the_scope_cancels_the_request_and_ends_the_stream() -> None:
    servicer = ScriptedInference(holds=True)
    with scripted(servicer) as address, Client(address) as client:
        with client.stream("Hello") as stream:
            next(stream)
        assert servicer.left.wait(30)

        assert [piece for piece in stream if piece.answer is not None] == []
        with pytest.raises(Cancelled, match="closed before its end"):
            stream.result()


def test_a_stream_that_found_no_server_is_begun_again() -> None:
    servicer = ScriptedInference(*(Loading("loading", retry_after_s=0.0) for _ in range(2)))
    with scripted(servicer) as address, Client(address, retries=FAST) as client:
        assert client.stream("Hello").result().text == "".join(WORDS)

    assert len(servicer.requests) == 3


def test_after_the_first_piece_nothing_is_asked_again() -> None:
    servicer = ScriptedInference(Broken("the connection broke"), before=2)
    with scripted(servicer) as address, Client(address, retries=FAST) as client:
        stream = client.stream("Hello")
        assert [next(stream).text, next(stream).text] == ["Once", " upon"]
        with pytest.raises(Exception, match="the connection broke"):
            next(stream)

    assert len(servicer.requests) == 1


def test_a_server_that_stops_in_the_middle_is_a_failure() -> None:
    class Mute(ScriptedInference):
        def _answer(self) -> None:  # type: ignore[override]  # so that the last message is empty
            return None

    with scripted(Mute()) as address, Client(address) as client, pytest.raises(ServerFailed, match="without"):
        client.stream("Hello").result()
