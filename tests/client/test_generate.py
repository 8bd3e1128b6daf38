"""What a client asks arrives as it was meant, and what comes back is whole."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.serving import Served
from parfocal.client import (
    AdapterNotFound,
    Client,
    ClientError,
    FinishReason,
    InvalidRequest,
    Message,
    ResolvedAdapter,
    ServerFailed,
    TimedOut,
    Timings,
    ToolCall,
    Unavailable,
    Usage,
)
from parfocal.engine import Request, StepFailed

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def _asked(served: Served) -> str:
    return "".join(map(chr, _request(served).prompt_ids))


def _request(served: Served) -> Request:
    return served.engine.submitted[-1].request


def test_an_answer_says_who_answered_how_long_it_took_and_why_it_ended(client: Client) -> None:
    answer = client.generate("Hello", adapter="team/invoices@prod", request_id="mine")

    assert answer.text == "Once upon a time"
    assert answer.token_ids == (1, 2, 3, 4)
    assert answer.finish_reason is FinishReason.STOP
    assert answer.adapter == ResolvedAdapter("team/invoices", 3, "sha256:" + "1" * 64)
    assert str(answer.adapter) == "team/invoices@3"
    assert answer.usage == Usage(prompt_tokens=len("Hello"), cached_tokens=2, completion_tokens=4)
    assert answer.timings == Timings(queue_s=0.25, load_s=0.125, prefill_s=0.5, decode_s=1.5)
    assert answer.request_id == "mine"


def test_without_an_address_the_server_is_asked_that_the_environment_names(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARFOCAL_ADDRESS", f"127.0.0.1:{served.wire.port}")

    with Client() as client:
        assert client.generate("Hello").text == "Once upon a time"


def test_the_base_answers_where_no_adapter_is_named(client: Client) -> None:
    assert client.generate("Hello").adapter is None


def test_every_option_reaches_the_engine(client: Client, served: Served) -> None:
    client.generate(
        "Hello",
        temperature=0.5,
        top_k=7,
        top_p=0.75,
        min_p=0.125,
        repetition_penalty=1.5,
        presence_penalty=0.25,
        frequency_penalty=-0.5,
        seed=11,
        max_tokens=9,
        min_tokens=2,
        stop=["\n", "END"],
        stop_token_ids=[5],
        ignore_eos=True,
        top_logprobs=2,
    )

    request = _request(served)
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p) == (0.5, 7, 0.75, 0.125)
    assert (sampling.repetition_penalty, sampling.presence_penalty) == (1.5, 0.25)
    assert (sampling.frequency_penalty, sampling.seed) == (-0.5, 11)
    stop = request.stop
    assert (stop.max_tokens, stop.min_tokens, stop.ignore_eos) == (9, 2, True)
    assert (tuple(stop.strings), tuple(stop.token_ids)) == (("\n", "END"), (5,))
    assert (request.logprobs, request.top_logprobs) == (True, 2)


def test_one_stop_string_is_not_taken_for_its_letters(client: Client, served: Served) -> None:
    client.generate("Hello", stop="END")

    assert tuple(_request(served).stop.strings) == ("END",)


def test_a_chat_is_the_same_as_dictionaries_and_as_dataclasses(client: Client, served: Served) -> None:
    client.generate(messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}])
    as_dictionaries = _asked(served)
    client.generate(messages=[Message("user", "Hi")])

    assert _asked(served) == as_dictionaries
    assert "Hi" in as_dictionaries


def test_tokens_are_used_as_they_are(client: Client, served: Served) -> None:
    client.generate(tokens=[72, 105])

    assert _request(served).prompt_ids == (72, 105)


def test_logprobs_come_back_with_their_likeliest(client: Client) -> None:
    first = client.generate("Hello", logprobs=True, top_logprobs=1).logprobs[0]

    assert (first.token_id, first.logprob) == (65, -0.5)
    assert [(each.token_id, each.logprob) for each in first.top] == [(50, -1.0)]


def test_a_prompt_is_tokenized_as_it_would_be_answered(client: Client) -> None:
    tokens = client.tokenize("Hi")

    assert (tokens.ids, tokens.texts) == ((72, 105), ("H", "i"))
    assert len(client.tokenize(messages=[{"role": "user", "content": "Hi"}]).ids) > 2


def test_the_model_and_what_is_loaded_are_values(client: Client) -> None:
    assert client.model().context_tokens == 64
    assert client.model().has_chat_template
    assert client.loaded_adapters() == ()
    assert client.is_serving()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda client: client.generate(), "nothing given"),
        (lambda client: client.generate("Hi", tokens=[1]), "prompt and tokens given"),
        (lambda client: client.generate("Hi", tools=[WEATHER]), "tools belong to a chat"),
        (lambda client: client.generate("Hi", temperature="warm"), "temperature is 'warm'"),
        (lambda client: client.generate("Hi", stop_token_ids=["x"]), "stop_token_ids is"),
        (lambda client: client.generate("Hi", max_tokens=1 << 40), "max_tokens is"),
        (lambda client: client.generate("half a pair \ud800"), "prompt is"),
        (lambda client: client.generate(messages=[{"content": "Hi"}]), "message 1 lacks a role"),
        (lambda client: client.generate(messages=[7]), "message 1 is not an object"),
        (lambda client: client.generate(messages=[Message("user", "\ud800")]), "messages.content is"),
        (
            lambda client: client.generate(
                messages=[{"role": "user", "content": "Hi"}], template_variables={"x": object()}
            ),
            "template_variables hold what JSON cannot",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(
    client: Client, served: Served, ask: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ask(client)

    assert served.engine.submitted == []


def test_an_argument_that_does_not_exist_names_the_nearest(client: Any) -> None:
    with pytest.raises(TypeError, match="no argument 'temprature'; did you mean 'temperature'"):
        client.generate("Hi", temprature=1.0)


def test_a_call_of_a_tool_may_stand_in_a_chat_in_either_form() -> None:
    from parfocal.client.asking import generate_request

    call = {"id": "1", "function": {"name": "weather", "arguments": {"place": "Köln"}}}
    written = generate_request(
        None, {"messages": [{"role": "assistant", "tool_calls": [call]}], "tools": [WEATHER]}
    )
    built = generate_request(
        None,
        {
            "messages": [
                Message("assistant", tool_calls=(ToolCall("weather", '{"place": "Köln"}', "1"),)),
            ],
            "tools": [
                '{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}'
            ],
        },
    )

    assert written == built


def test_an_unknown_adapter_has_an_error_of_its_own(client: Client) -> None:
    with pytest.raises(AdapterNotFound, match="no adapter team/nobody") as refused:
        client.generate("Hello", adapter="team/nobody")

    assert (refused.value.status, refused.value.reason) == ("NOT_FOUND", "ADAPTER_NOT_FOUND")
    assert refused.value.advice == "see what there is with: parfocal ls"


def test_a_bad_field_is_named(client: Client) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.generate("Hello", temperature=-1.0)

    assert refused.value.field == "sampling.temperature"


def test_a_failure_of_the_server_keeps_its_reason(client: Client, served: Served) -> None:
    served.engine.failure = StepFailed("the model failed")

    with pytest.raises(ServerFailed) as failed:
        client.generate("Hello")
    assert failed.value.reason == "STEP_FAILED"


def test_a_call_ends_at_its_timeout(client: Client, served: Served) -> None:
    served.engine.gate.clear()

    with pytest.raises(TimedOut):
        client.generate("Hello", timeout=0.05)


def test_nobody_who_listens_is_said_with_what_to_do() -> None:
    from parfocal.client import Retries

    with Client("127.0.0.1:1", retries=Retries(attempts=1)) as client:
        with pytest.raises(Unavailable, match="parfocal serve"):
            client.generate("Hello")
        assert not client.is_serving()


def test_every_error_is_a_domain_error() -> None:
    error = ClientError("x")

    assert (error.status, error.reason, error.metadata, error.advice) == ("INTERNAL", "CLIENT_ERROR", {}, "")
