"""When a call is made again, and when not."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.scripted_inference import ScriptedInference, scripted
from parfocal.client import Client, ClientError, InvalidRequest, Overloaded, Retries, Unavailable
from parfocal.client.calling.retries import Attempts
from parfocal.engine import QueueFull
from parfocal.rpc import Draining, Loading

ONCE = Retries(attempts=3, first_s=1.0, factor=2.0, longest_s=10.0)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _attempts(
    retries: Retries = ONCE,
    timeout_s: float | None = None,
    repeatable: bool = True,
    clock: Clock | None = None,
) -> Attempts:
    return Attempts(ONCE, timeout_s, repeatable, clock or Clock(), lambda: 1.0)


def test_pauses_grow_until_the_last_attempt() -> None:
    attempts, error = _attempts(), Unavailable("nobody there")

    assert [attempts.pause_after(error), attempts.pause_after(error)] == [1.0, 2.0]
    with pytest.raises(Unavailable):
        attempts.pause_after(error)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 100), st.floats(1, 10), st.floats(0.01, 100))
def test_a_pause_is_between_half_and_all_of_its_length(
    failures: int, drawn: float, first: float, factor: float, longest: float
) -> None:
    retries = Retries(first_s=first, factor=factor, longest_s=longest)

    assert retries.pause_s(failures, 0.0) <= retries.pause_s(failures, drawn) <= longest
    assert retries.pause_s(failures, 1.0) == pytest.approx(2 * retries.pause_s(failures, 0.0))


def test_what_the_server_asks_to_wait_is_waited_on_top() -> None:
    assert _attempts().pause_after(Overloaded("full", retry_after_s=5.0)) == 6.0
    assert _attempts().pause_after(Unavailable("loading", reason="LOADING", retry_after_s=3.0)) == 4.0


def test_a_full_server_without_a_time_is_not_asked_again() -> None:
    with pytest.raises(Overloaded):
        _attempts().pause_after(Overloaded("too large"))


def test_no_other_failure_is_tried_again() -> None:
    with pytest.raises(InvalidRequest):
        _attempts().pause_after(InvalidRequest("wrong"))


def test_no_pause_reaches_beyond_the_deadline() -> None:
    clock = Clock()
    attempts = _attempts(timeout_s=2.5, clock=clock)

    assert attempts.pause_after(Unavailable("nobody there")) == 1.0
    clock.now += 1.0
    assert attempts.left_s() == 1.5
    with pytest.raises(Unavailable):
        attempts.pause_after(Unavailable("nobody there"))


def test_what_must_not_be_done_twice_is_repeated_only_after_a_refusal() -> None:
    assert _attempts(repeatable=False).pause_after(Unavailable("stopping", reason="DRAINING")) == 1.0
    with pytest.raises(Unavailable):
        _attempts(repeatable=False).pause_after(Unavailable("the connection broke"))


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_s": -1.0}, {"factor": 0.5}, {"longest_s": -1.0}])
def test_retries_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        Retries(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "failure",
    [
        lambda: Loading("loading", retry_after_s=0.0),
        lambda: Draining("stopping"),
        lambda: QueueFull("full", retry_after_s=0.0),
    ],
)
def test_over_the_wire_a_call_that_was_refused_succeeds_later(failure: Callable[[], Exception]) -> None:
    servicer = ScriptedInference(failure(), failure())
    with scripted(servicer) as address, Client(address, retries=Retries(first_s=0.0)) as client:
        assert client.generate("Hello").text == "Once upon a time"

    assert len(servicer.requests) == 3


def test_over_the_wire_the_last_failure_is_raised_with_its_reason() -> None:
    failures = [QueueFull("full", retry_after_s=0.0) for _ in range(3)]
    servicer = ScriptedInference(*failures)
    twice = Retries(attempts=2, first_s=0.0)
    with (
        scripted(servicer) as address,
        Client(address, retries=twice) as client,
        pytest.raises(ClientError, match="full") as refused,
    ):
        client.generate("Hello")

    assert isinstance(refused.value, Overloaded)
    assert (refused.value.reason, refused.value.retry_after_s) == ("QUEUE_FULL", 0.0)
    assert len(servicer.requests) == 2
