"""Other servers under the bench's load, over real HTTP with a fake on the other side."""

import socket
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.rivals.endpoint import Endpoint, EndpointTarget
from bench.rivals.endpoint_flags import endpoints_in
from bench.rivals.errors import EndpointFailed
from fakes.openai_endpoint import DONE, Body, FakeEndpoint, events_of, openai_endpoint
from parfocal.bench.errors import AnswerWrong, BadWorkload
from parfocal.bench.load.rounds import Round
from parfocal.bench.workloads.calls import Call
from parfocal.bench.workloads.workload import Workload

NAMES = ("bench/adapter-0", "bench/adapter-1")
CALLS = [Call((1, 2, 3), NAMES[0]), Call((4, 5), NAMES[1], arrives_s=0.01)]
SMALL = Workload("llama-test", requests=2, adapters=2, rank=4, prompt_tokens=3, new_tokens=4)


def _round(
    fake: FakeEndpoint, calls: Sequence[Call] = CALLS, new_tokens: int = 4, **changed: object
) -> Round:
    with openai_endpoint(fake):
        (endpoint,) = endpoints_in([f"fake={fake.url}"], [], [], [])
        endpoint = replace(endpoint, **changed)  # type: ignore[arg-type]  # each test gives its field's type
        return EndpointTarget(endpoint, NAMES).run_round(calls, new_tokens)


def test_an_endpoint_gets_the_same_prompts_as_token_ids_and_the_adapters_name() -> None:
    fake = FakeEndpoint()
    _round(fake)

    asked = sorted(fake.asked, key=lambda each: str(each[1]["model"]))
    assert [path for path, _ in asked] == ["/v1/completions"] * 2
    assert [(body["prompt"], body["model"]) for _, body in asked] == [
        ([1, 2, 3], NAMES[0]),
        ([4, 5], NAMES[1]),
    ]
    for _, body in asked:
        assert (body["max_tokens"], body["temperature"]) == (4, 0)
        assert body["ignore_eos"] is body["stream"] is True
        assert "lora" not in body


def test_a_template_says_how_an_endpoint_calls_an_adapter() -> None:
    fake = FakeEndpoint()
    _round(fake, CALLS[1:], model="lora-{number}-of-{adapter}")

    assert fake.asked[0][1]["model"] == "lora-1-of-bench/adapter-1"


def test_llama_cpp_is_told_an_adapter_with_each_request_and_none_by_a_scale_of_0() -> None:
    fake = FakeEndpoint()
    _round(fake, [*CALLS[1:], Call((7,), "")], lora_ids=(5, 9), base_model="base")

    asked = {body["model"]: body["lora"] for _, body in fake.asked}
    assert asked == {NAMES[1]: [{"id": 9, "scale": 1.0}], "base": [{"id": 5, "scale": 0.0}]}


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endpoints_round_has_a_time_for_every_token(chunked: bool) -> None:
    taken = _round(FakeEndpoint(chunked=chunked))

    assert taken.tokens == 8
    assert [len(answer.gaps_s) for answer in taken.answers] == [3, 3]
    assert [answer.cached_tokens for answer in taken.answers] == [1, 1]
    for answer in taken.answers:
        assert min(answer.gaps_s) >= 0.0
        assert 0.0 < answer.first_token_s + sum(answer.gaps_s) <= taken.seconds


def test_tokens_that_come_several_at_once_are_spread_over_the_answer() -> None:
    (answer,) = _round(FakeEndpoint(lambda body: events_of(["xx", "xx"], 4)), CALLS[:1]).answers

    assert len(answer.gaps_s) == 3
    # Differences of large numbers of seconds: equal up to what is lost there.
    assert answer.gaps_s == pytest.approx([answer.gaps_s[0]] * 3, abs=1e-9)


def test_an_endpoint_without_usage_is_counted_by_its_events() -> None:
    taken = _round(FakeEndpoint(lambda body: events_of(["x", "", "x", "x"], None)))

    assert [len(answer.gaps_s) for answer in taken.answers] == [3, 3]


@pytest.mark.parametrize(
    ("texts", "tokens", "said"),
    [
        (["x"] * 3, 3, r"fake's answer of bench/adapter-0 has 3 tokens, not 4; .*ignore_eos"),
        (["x"] * 3, None, "has 3 tokens, not 4"),
        (["xxxx"], 4, "came in one piece; it must stream"),
        ([], None, "has 0 tokens"),
    ],
)
def test_an_answer_that_gives_no_true_figure_fails_the_round(
    texts: list[str], tokens: int | None, said: str
) -> None:
    with pytest.raises(AnswerWrong, match=said):
        _round(FakeEndpoint(lambda body: events_of(texts, tokens)), CALLS[:1])


def _error(body: Body) -> list[bytes]:
    return [b'data: {"error": {"message": "no such lora"}}\n\n', DONE]


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (
            FakeEndpoint(lambda body: [b"no model bench/adapter-0"], status=404),
            "404 no model bench/adapter-0",
        ),
        (FakeEndpoint(lambda body: [], status=302), "302"),
        (FakeEndpoint(_error), "no such lora"),
        (FakeEndpoint(lambda body: [b'error: {"message": "out of slots"}\n\n']), "out of slots"),
        (FakeEndpoint(lambda body: [b"data: {\n\n"]), "Expecting property name"),
        (FakeEndpoint(lambda body: [b"data: 5\n\n"]), "an event is 5, not an object"),
    ],
)
def test_an_endpoint_that_refuses_is_named_and_quoted(fake: FakeEndpoint, said: str) -> None:
    with pytest.raises(EndpointFailed, match=rf"fake at http://127.0.0.1:\d+/v1/completions did not.*{said}"):
        _round(fake)


def test_an_endpoint_where_nobody_listens_is_told_before_anything_is_measured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    endpoint = Endpoint("fake", "127.0.0.1", port, "/v1/completions")

    with pytest.raises(EndpointFailed, match="start fake first"):
        endpoint.check(SMALL)


def test_every_adapter_needs_an_id_where_ids_are_given() -> None:
    endpoint = Endpoint("fake", "127.0.0.1", 1, "/v1/completions", lora_ids=(0,))

    with pytest.raises(BadWorkload, match="holds 1 ids of fake for 2 adapters"):
        endpoint.check(SMALL)


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "http://127.0.0.1:8000/v1/completions"),
        ("vllm=http://localhost:8000/v1", "vllm", "http://localhost:8000/v1/completions"),
        ("a=http://[::1]:9/v1/completions", "a", "http://[::1]:9/v1/completions"),
        ("b=http://127.1.2.3/api/", "b", "http://127.1.2.3:80/api/v1/completions"),
    ],
)
def test_an_endpoint_is_a_url_of_this_machine_with_or_without_a_name(text: str, name: str, url: str) -> None:
    (endpoint,) = endpoints_in([text], [], [], [])

    assert (endpoint.name, endpoint.url) == (name, url)


@pytest.mark.parametrize(
    "host", ["example.com", "10.0.0.1", "0.0.0.0", "[2001:db8::1]", "localhost.evil.org"]
)
def test_another_machine_is_refused_by_name(host: str) -> None:
    with pytest.raises(BadWorkload, match="is not this machine") as refusal:
        endpoints_in([f"http://{host}:8000"], [], [], [])

    assert host.strip("[]") in str(refusal.value)
    assert refusal.value.field == "endpoint"


@pytest.mark.parametrize("text", ["127.0.0.1:8000", "https://127.0.0.1", "name=", "http://"])
def test_what_is_no_url_is_quoted(text: str) -> None:
    with pytest.raises(BadWorkload, match=r"write http://127\.0\.0\.1:PORT") as refusal:
        endpoints_in([text], [], [], [])

    assert repr(text) in str(refusal.value)


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(BadWorkload, match="up to 65535"):
        endpoints_in(["http://127.0.0.1:70000"], [], [], [])


def test_a_value_without_a_name_is_for_all_endpoints_that_have_none_of_their_own() -> None:
    urls = ["a=http://127.0.0.1:1", "b=http://127.0.0.1:2"]
    first, second = endpoints_in(urls, ["b={number}", "lora-{number}"], ["b=base"], ["a=0-1"])

    assert (first.model, first.base_model, first.lora_ids) == ("lora-{number}", None, (0, 1))
    assert (second.model, second.base_model, second.lora_ids) == ("{number}", "base", ())


@pytest.mark.parametrize(
    ("urls", "models", "said"),
    [
        ([], ["{adapter}"], "no endpoint; add --endpoint"),
        (["a=http://127.0.0.1:1"], ["b={adapter}"], "no endpoint is called 'b'; there are a"),
        (["Parfocal=http://127.0.0.1:1"], [], "called Parfocal, as we are"),
        (["a=http://127.0.0.1:1", "a=http://127.0.0.1:2"], [], "two endpoints are called a"),
    ],
)
def test_flags_that_fit_no_endpoint_are_refused(urls: list[str], models: list[str], said: str) -> None:
    with pytest.raises(BadWorkload, match=said):
        endpoints_in(urls, models, [], [])
