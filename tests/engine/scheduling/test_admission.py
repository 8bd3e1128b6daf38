"""A request that cannot run is refused by field and value before it is queued; one that can is let in."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import InvalidRequest, PromptTooLong, Request, RequestTooLarge, Sampling, Stop
from parfocal.engine.scheduling.admission import MAX_TOP_LOGPROBS, Admission

ADMISSION = Admission(context_tokens=32, cache_tokens=64, vocabulary=100)
GOOD = Request("q", (1, 2, 3))


def refusal(request: Request, admission: Admission = ADMISSION) -> InvalidRequest | RequestTooLarge:
    with pytest.raises((InvalidRequest, RequestTooLarge)) as caught:
        admission.check(request)
    assert isinstance(caught.value, InvalidRequest | RequestTooLarge)
    return caught.value


SAMPLING_BOUNDS = {
    "temperature": (0.0, 100.0),
    "top_p": (1e-6, 1.0),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 100.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}


@pytest.mark.parametrize("name", SAMPLING_BOUNDS)
def test_a_sampling_field_is_taken_up_to_its_bounds_and_no_further(name: str) -> None:
    low, high = SAMPLING_BOUNDS[name]
    for value in (low, high):
        ADMISSION.check(dataclasses.replace(GOOD, sampling=Sampling(**{name: value})))  # type: ignore[arg-type]
    beyond = (low - 0.005, math.nextafter(high, math.inf), math.nan, math.inf, -math.inf)
    for value in beyond:
        error = refusal(dataclasses.replace(GOOD, sampling=Sampling(**{name: value})))  # type: ignore[arg-type]
        assert error.field == f"sampling.{name}"
        assert str(error).startswith(f"sampling.{name} is {value};")


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_nucleus_of_nothing_is_refused(value: float) -> None:
    error = refusal(dataclasses.replace(GOOD, sampling=Sampling(top_p=value)))

    assert error.field == "sampling.top_p"
    assert str(value) in str(error)


def test_top_k_may_be_zero_or_wider_than_the_vocabulary_but_not_negative() -> None:
    for value in (0, 1, 10**9):
        ADMISSION.check(dataclasses.replace(GOOD, sampling=Sampling(top_k=value)))
    error = refusal(dataclasses.replace(GOOD, sampling=Sampling(top_k=-1)))

    assert (error.field, "-1" in str(error)) == ("sampling.top_k", True)


@pytest.mark.parametrize(
    ("stop", "field", "shown"),
    [
        (Stop(max_tokens=0), "stop.max_tokens", "0"),
        (Stop(max_tokens=-7), "stop.max_tokens", "-7"),
        (Stop(min_tokens=-1), "stop.min_tokens", "-1"),
        (Stop(max_tokens=4, min_tokens=5), "stop.min_tokens", "5"),
        (Stop(strings=("a", "")), "stop.strings", "empty"),
        (Stop(token_ids=(5, 100)), "stop.token_ids[1]", "100"),
        (Stop(token_ids=(-1,)), "stop.token_ids[0]", "-1"),
    ],
)
def test_a_stop_rule_out_of_range_is_refused_by_field_and_value(stop: Stop, field: str, shown: str) -> None:
    error = refusal(dataclasses.replace(GOOD, stop=stop))

    assert error.field == field
    assert shown in str(error)


def test_stop_rules_at_their_bounds_are_taken() -> None:
    for stop in (
        Stop(max_tokens=1, min_tokens=1),
        Stop(min_tokens=10**6),
        Stop(max_tokens=10**6, token_ids=(0, 99), strings=("x",)),
    ):
        ADMISSION.check(dataclasses.replace(GOOD, stop=stop))


@pytest.mark.parametrize("value", [-1, MAX_TOP_LOGPROBS + 1])
def test_too_many_alternatives_are_refused(value: int) -> None:
    error = refusal(dataclasses.replace(GOOD, top_logprobs=value))

    assert error.field == "options.top_logprobs"
    assert str(value) in str(error)
    ADMISSION.check(dataclasses.replace(GOOD, top_logprobs=MAX_TOP_LOGPROBS))


def test_an_empty_prompt_is_refused() -> None:
    assert refusal(Request("q", ())).field == "prompt"


@pytest.mark.parametrize("token", [-1, 100, 2**40])
def test_a_token_outside_the_vocabulary_is_refused_by_its_place(token: int) -> None:
    error = refusal(Request("q", (0, 99, token)))

    assert error.field == "tokens.ids[2]"
    assert str(token) in str(error)


def test_a_prompt_must_leave_room_for_one_token_in_the_context() -> None:
    ADMISSION.check(Request("q", (1,) * 31))
    error = refusal(Request("q", (1,) * 32))

    assert isinstance(error, PromptTooLong)
    assert error.field == "prompt"
    assert "32 tokens" in str(error)


def test_a_prompt_must_leave_room_for_one_token_in_the_cache() -> None:
    small = dataclasses.replace(ADMISSION, cache_tokens=16)
    small.check(Request("q", (1,) * 15, stop=Stop(max_tokens=1)))
    error = refusal(Request("q", (1,) * 16, stop=Stop(max_tokens=1)), small)

    assert isinstance(error, RequestTooLarge)
    assert error.field is not None
    assert "16" in str(error)


@given(
    st.integers(1, 40),
    st.none() | st.integers(1, 60),
    st.builds(Admission, st.integers(2, 40), st.integers(1, 40), st.just(100)),
)
def test_what_is_accepted_gets_at_least_one_token_and_fits_context_and_cache(
    prompt: int, max_tokens: int | None, admission: Admission
) -> None:
    request = Request("q", (1,) * prompt, stop=Stop(max_tokens=max_tokens))
    try:
        admission.check(request)
    except (PromptTooLong, RequestTooLarge):
        assert prompt + (max_tokens or 1) > min(admission.context_tokens, admission.cache_tokens)
        return

    allowed = admission.max_tokens(request)
    assert 1 <= allowed <= (max_tokens or allowed)
    assert prompt + allowed <= min(admission.context_tokens, admission.cache_tokens)


def test_a_bias_is_taken_for_any_token_up_to_its_bounds() -> None:
    ADMISSION.check(dataclasses.replace(GOOD, sampling=Sampling(logit_bias={0: -100.0, 99: 100.0, 5: 0.5})))


@pytest.mark.parametrize(
    ("bias", "shown"),
    [
        ({100: 1.0}, "logit_bias[100] is for no token; ids are 0 to 99"),
        ({-1: 1.0}, "logit_bias[-1] is for no token"),
        ({5: 100.5}, "logit_bias[5] is 100.5"),
        ({5: math.nan}, "logit_bias[5] is nan"),
        ({5: -math.inf}, "logit_bias[5] is -inf"),
        (dict.fromkeys(range(1025), 1.0), "1025 tokens; at most 1024"),
    ],
)
def test_a_bias_out_of_range_is_refused_by_token_and_value(bias: dict[int, float], shown: str) -> None:
    error = refusal(dataclasses.replace(GOOD, sampling=Sampling(logit_bias=bias)))

    assert error.field == "sampling.logit_bias"
    assert shown in str(error)
