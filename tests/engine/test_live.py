"""What a caller sees of a request: deltas that add up to the completion, each with its own tokens."""

from collections.abc import Sequence as Many

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.tokenizers_small import byte_level
from parfocal.engine import Delta, FinishReason, Request, RequestReport, Stop, TokenLogprob
from parfocal.engine.errors import QueueFull
from parfocal.engine.live import LiveRequest
from parfocal.engine.scheduling.sequence import Clock, Sequence
from parfocal.engine.text.stream import TextStream

BYTES = byte_level((b"END", b"EN", b" E", b"D\xf0"))
EOS = 260


class Call:
    """A request whose tokens the test gives one by one, as the engine's steps do."""

    def __init__(self, stop: Stop, logprobs: bool = False) -> None:
        request = Request("q", (1, 2), stop=stop, logprobs=logprobs)
        self.sequence = Sequence(request, max_tokens=100, draw_seed=0, clock=Clock(arrived=0.0))
        self.deltas: list[Delta] = []
        self.live = LiveRequest(self.sequence, TextStream(BYTES, stop.strings), self._take)

    def _take(self, item: Delta | Exception) -> None:
        assert isinstance(item, Delta)
        self.deltas.append(item)

    def say(self, tokens: Many[int]) -> None:
        """Gives the tokens until one ends the request, then ends it."""
        for token in tokens:
            self.sequence.output_ids.append(token)
            if self.sequence.request.logprobs:
                self.sequence.logprobs.append(TokenLogprob(token, -0.5))
            if token == EOS:
                self.sequence.finish_reason = FinishReason.STOP
            if self.live.push():
                self.sequence.finish_reason = FinishReason.STOP_STRING
            if self.sequence.finish_reason is not None:
                break
            self.live.emit_delta()
        self.sequence.finish_reason = self.sequence.finish_reason or FinishReason.LENGTH
        self.live.finish_text()
        self.live.emit_completion()

    @property
    def texts(self) -> list[str]:
        return [delta.text for delta in self.deltas]

    @property
    def text(self) -> str:
        completion = self.deltas[-1].completion
        assert completion is not None
        return completion.text


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([0x45, 0x4E, 0x44, 0xC3, 0xA9, 256, 257, 258, EOS]), min_size=1, max_size=30),
    st.lists(st.sampled_from(["END", "ND", "EE", "é"]), max_size=2).map(tuple),
    st.integers(0, 6),
    st.booleans(),
)
def test_deltas_add_up_to_the_completion_and_carry_their_own_tokens(
    tokens: list[int], strings: tuple[str, ...], min_tokens: int, logprobs: bool
) -> None:
    call = Call(Stop(strings=strings, min_tokens=min_tokens), logprobs)
    call.say(tokens)

    *others, last = call.deltas
    assert all(delta.completion is None for delta in others)
    done = last.completion
    assert done is not None
    assert done.text == "".join(call.texts)
    assert done.token_ids == tuple(token for delta in call.deltas for token in delta.token_ids)
    assert done.logprobs == tuple(one for delta in call.deltas for one in delta.logprobs)
    for delta in call.deltas:
        assert [one.token_id for one in delta.logprobs] == list(delta.token_ids if logprobs else ())
    if done.finish_reason is FinishReason.STOP_STRING:
        assert done.stop_string in strings
        assert len(done.token_ids) >= min_tokens


def test_the_token_that_ended_a_request_is_listed_but_has_no_text() -> None:
    call = Call(Stop())
    call.sequence.finish_reason, call.sequence.ends_in_stop_token = FinishReason.STOP, True
    call.sequence.output_ids += [*b"ab"]  # a stop token that is a letter
    call.live.push()
    call.live.emit_completion()

    assert call.text == "a"
    assert call.deltas[-1].token_ids == tuple(b"ab")


def test_the_token_that_completes_a_constraint_has_its_text() -> None:
    call = Call(Stop())
    call.sequence.finish_reason = FinishReason.STOP
    call.sequence.output_ids += [*b"ab"]
    call.live.push()
    call.live.emit_completion()

    assert call.text == "ab"


def test_text_held_back_comes_with_a_later_delta_and_tokens_come_at_once() -> None:
    call = Call(Stop(strings=("END",)), logprobs=True)
    call.say(b"aENx")

    assert call.texts == ["a", "", "", "ENx", ""]
    assert [delta.token_ids for delta in call.deltas] == [(97,), (69,), (78,), (120,), ()]


def test_what_might_have_become_a_stop_string_is_sent_at_the_end() -> None:
    call = Call(Stop(strings=("END",)))
    call.say(b"aEN")

    assert call.text == "aEN"


def test_a_stop_string_has_no_part_in_the_text_but_its_tokens_are_listed() -> None:
    call = Call(Stop(strings=("END",)))
    call.say(b"aENDb")

    completion = call.deltas[-1].completion
    assert completion is not None
    assert (completion.text, completion.stop_string) == ("a", "END")
    assert completion.token_ids == tuple(b"aEND")


def test_a_stop_string_before_the_least_length_is_only_text() -> None:
    call = Call(Stop(strings=("END",), min_tokens=4))
    call.say(b"ENDxEND!")

    assert call.text == "ENDx"


def test_a_stop_string_that_ends_with_the_least_token_counts_only_if_it_began_there() -> None:
    whole, partly = Call(Stop(strings=("END",), min_tokens=3)), Call(Stop(strings=("END",), min_tokens=3))
    whole.say([97, 97, 256])
    partly.say(b"END")

    assert (whole.text, partly.text) == ("aa", "END")


def test_an_ended_requests_report_names_its_end_and_counts_its_tokens() -> None:
    call = Call(Stop())
    call.say(b"abc")

    done: RequestReport = call.live.report(FinishReason.LENGTH)
    failed = call.live.report(QueueFull("full", retry_after_s=1.0))
    assert (done.outcome, done.prompt_tokens, done.generated_tokens) == ("length", 2, 3)
    assert failed.outcome == "queue_full"
    assert call.live.report(OSError("gone")).outcome == "error"
