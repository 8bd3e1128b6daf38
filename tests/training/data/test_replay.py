"""Which rows of a parent's are learnt again, and which tell what is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from parfocal.training.data.replay import Replay, Wanted, replay_of
from parfocal.training.data.rows import Row, Turn, row_of
from parfocal.training.findings import Findings, Severity


def rows(count: int, word: str = "old") -> list[Row]:
    return [
        Row(word, at, (Turn("user", f"{word} {at}"), Turn("assistant", f"{at}", learn=True)), raw=False)
        for at in range(1, count + 1)
    ]


def drawn(
    count: int, share: float, beside: int = 100, apart: tuple[Row, ...] = ()
) -> tuple[Replay, Findings]:
    findings = Findings()
    wanted = Wanted(share, beside, seed=0, held_out=0.1, choose=True)
    return replay_of(rows(count), "sha256:x", wanted, apart, findings), findings


@given(share=st.floats(0.05, 0.6), beside=st.integers(20, 200))
def test_the_share_is_of_all_that_is_learnt(share: float, beside: int) -> None:
    replay, findings = drawn(400, share, beside)
    learnt = len(replay.learnt)

    assert abs(learnt / (learnt + beside) - share) < 0.02
    assert not findings.as_tuple()


def test_no_row_is_both_learnt_and_held_out_and_the_same_are_drawn_again() -> None:
    replay, again = drawn(200, 0.3)[0], drawn(200, 0.3)[0]
    learnt, held_out = ({row_of(each).line for each in part} for part in (replay.learnt, replay.held_out))

    assert replay == again
    assert not learnt & held_out
    assert len(held_out) == 10


def test_what_the_new_rows_ask_is_not_replayed() -> None:
    new = tuple(rows(50))
    replay, findings = drawn(200, 0.5, apart=new)
    learnt = {row_of(each).line for each in (*replay.learnt, *replay.held_out)}

    assert min(learnt) > 50
    assert [each.code for each in findings.as_tuple()] == ["REPLAY_KNOWN"]


def test_nothing_left_to_replay_is_an_error() -> None:
    _, findings = drawn(30, 0.5, apart=tuple(rows(30)))
    errors = [each for each in findings.as_tuple() if each.severity is Severity.ERROR]

    assert [each.code for each in errors] == ["NOTHING_TO_REPLAY"]
    assert "--replay" in errors[0].message
