"""`parfocal generate` against a server whose engine is faked."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fakes.served_aside import served_aside
from fakes.serving import Served
from fakes.tokenizer import ALTERNATE
from parfocal.cli.app import build_app
from parfocal.engine import AdapterKey, StepFailed
from parfocal.rpc import Context, Service
from parfocal.server.requests import Manner
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc

Run = Callable[..., Result]
KEY = AdapterKey("sha256:" + "1" * 64, "team/invoices", 3)


class RegistryOfForms(registry_pb_grpc.RegistryServiceServicer):
    """Knows only in which form each adapter was trained, as its hyper-parameters or its contract say."""

    def __init__(self, form: str, contract: adapter_pb2.Contract | None = None) -> None:
        self._form = form
        self._contract = contract

    async def ResolveAdapter(
        self, request: registry_pb.ResolveAdapterRequest, context: Context
    ) -> adapter_pb2.Version:
        version = adapter_pb2.Version(name=request.reference, version=3)
        version.manifest.provenance.hyper_parameters_json = json.dumps({"rendering": self._form})
        if self._contract is not None:
            version.manifest.contract.CopyFrom(self._contract)
        return version


def _forms(form: str, contract: adapter_pb2.Contract | None = None) -> Service:
    name = registry_pb.DESCRIPTOR.services_by_name["RegistryService"].full_name
    servicer = RegistryOfForms(form, contract)  # type: ignore[abstract]  # the rest answers UNIMPLEMENTED
    return Service(registry_pb_grpc.add_RegistryServiceServicer_to_server, servicer, name)


@contextlib.contextmanager
def _server(chat_template: str | None = ALTERNATE, *beside: Service, port: int = 0) -> Iterator[Served]:
    """Serves from a thread of its own, as the command blocks this one."""
    with served_aside(chat_template, *beside, port=port) as served:
        served.resolver.adapters["team/invoices@prod"] = KEY
        yield served


def _asked(served: Served) -> str:
    return "".join(map(chr, served.engine.submitted[-1].request.prompt_ids))


def _address(served: Served) -> str:
    return f"127.0.0.1:{served.wire.port}"


def test_the_answer_is_printed_as_it_comes(run: Run) -> None:
    with _server() as served:
        result = run("generate", "Hello", "--address", _address(served))

    assert (result.exit_code, result.stdout) == (0, "Once upon a time\n")


def test_the_answer_can_be_printed_whole(run: Run) -> None:
    with _server() as served:
        result = run("generate", "Hello", "--no-stream", "--address", _address(served))

    assert (result.exit_code, result.stdout) == (0, "Once upon a time\n")


def test_json_has_the_whole_reply(run: Run) -> None:
    with _server() as served:
        result = run(
            "generate", "Hello", "--json", "--adapter", "team/invoices@prod", "--address", _address(served)
        )

    reply = json.loads(result.stdout)
    assert reply["text"] == "Once upon a time"
    named = {"name": "team/invoices", "version": 3, "digest": KEY.digest, "parts": []}
    assert reply["adapter"] == named
    assert reply["finish_reason"] == "FINISH_REASON_STOP"


@pytest.mark.parametrize(
    ("template", "flags", "expected"),
    [
        (ALTERNATE, [], "u:Hello\na:"),
        (ALTERNATE, ["--raw"], "Hello"),
        (ALTERNATE, ["--no-raw"], "u:Hello\na:"),
        (ALTERNATE, ["--system", "Be kind."], "s:Be kind.\nu:Hello\na:"),
        (None, [], "Hello"),
    ],
)
def test_a_prompt_is_a_chat_message_where_the_base_can(
    run: Run, template: str | None, flags: list[str], expected: str
) -> None:
    with _server(template) as served:
        run("generate", "Hello", *flags, "--address", _address(served))

        assert _asked(served) == expected


@pytest.mark.parametrize(
    ("form", "contract", "expected"),
    [
        ("chat", {"rendering": adapter_pb2.Rendering(form=adapter_pb2.RENDERING_FORM_RAW)}, "Hello"),
        ("raw", {"rendering": adapter_pb2.Rendering(form=adapter_pb2.RENDERING_FORM_CHAT)}, "u:Hello\na:"),
        ("odd", {"chat_template_digest": "sha256:1"}, "u:Hello\na:"),
        ("raw", {"chat_template_digest": "sha256:1"}, "Hello"),
    ],
)
def test_what_the_contract_says_of_the_form_comes_first(
    run: Run, form: str, contract: dict[str, Any], expected: str
) -> None:
    with _server(ALTERNATE, _forms(form, adapter_pb2.Contract(**contract))) as served:
        run("generate", "Hello", "--adapter", "team/invoices@prod", "--address", _address(served))

        assert _asked(served) == expected


def test_a_chat_comes_from_a_file_or_from_standard_input(run: Run, tmp_path: Path) -> None:
    lines = '{"role": "user", "content": "Hi"}\n{"role": "assistant", "content": "yo"}\n'
    (tmp_path / "chat.jsonl").write_text(lines)
    with _server() as served:
        where = ("--address", _address(served))
        run("generate", "More", "--chat", tmp_path / "chat.jsonl", *where)
        assert _asked(served) == "u:Hi\na:yo\nu:More\na:"
        run("generate", "--chat", "-", "--system", "S", *where, stdin=lines.splitlines()[0])
        assert _asked(served) == "s:S\nu:Hi\na:"


def test_a_raw_adapter_is_asked_in_a_chat_if_there_is_one(run: Run) -> None:
    with _server(ALTERNATE, _forms("raw")) as served:
        where = ("--adapter", "team/invoices@prod", "--address", _address(served))
        run("generate", "Hello", "--system", "S", *where)

        assert _asked(served) == "s:S\nu:Hello\na:"


def test_template_variables_reach_the_template(run: Run) -> None:
    with _server("{{ thinking }}, {{ n + 1 }}, {{ word }}") as served:
        flags = [f"--template-variable={pair}" for pair in ("thinking=false", "n=2", "word=low")]
        run("generate", "Hello", *flags, "--address", _address(served))

        assert _asked(served) == "False, 3, low"


def test_the_servers_warnings_go_to_standard_error(run: Run) -> None:
    with _server() as served:
        served.resolver.manners["team/invoices@prod"] = Manner("chat")
        result = run(
            "generate", "Hello", "--raw", "--adapter", "team/invoices@prod", "--address", _address(served)
        )

    assert (result.exit_code, result.stdout) == (0, "Once upon a time\n")
    assert result.stderr.startswith("parfocal: warning: adapter team/invoices@3 was trained on chats")


def test_a_prompt_comes_from_standard_input(run: Run) -> None:
    with _server() as served:
        run("generate", "-", "--address", _address(served), stdin="Hi")
        assert _asked(served) == "u:Hi\na:"
    assert run("generate", "-", stdin=b"\xfc").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "PROMPT"),
        (["-", "--chat", "-"], "--chat"),
        (["Hi", "--raw", "--system", "S"], "--raw"),
        (["Hi", "--raw", "--template-variable", "a=1"], "--raw"),
    ],
)
def test_flags_that_contradict_each_other_are_a_usage_error(
    run: Run, arguments: list[str], says: str
) -> None:
    result = run("generate", *arguments)

    assert result.exit_code == 2
    assert says in result.stderr


@pytest.mark.parametrize(
    ("form", "expected"), [("raw", "Hello"), ("chat", "u:Hello\na:"), ("odd", "u:Hello\na:")]
)
def test_an_adapter_is_asked_in_the_form_it_was_trained_in(run: Run, form: str, expected: str) -> None:
    with _server(ALTERNATE, _forms(form)) as served:
        result = run("generate", "Hello", "--adapter", "team/invoices@prod", "--address", _address(served))

        assert result.exit_code == 0, result.output
        assert _asked(served) == expected


def test_flags_reach_the_engine(run: Run) -> None:
    with _server() as served:
        flags = (
            "--max-tokens",
            7,
            "--temperature",
            0.5,
            "--top-p",
            0.9,
            "--seed",
            4,
            "--stop",
            "x",
            "--stop",
            "y",
        )
        run("generate", "Hello", *flags, "--address", _address(served))
        request = served.engine.submitted[0].request

    assert (request.stop.max_tokens, request.stop.strings) == (7, ("x", "y"))
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.seed) == (0.5, 0.9, 4)


def test_a_refusal_is_one_line(run: Run) -> None:
    with _server() as served:
        result = run("generate", "Hello", "--adapter", "team/absent", "--address", _address(served))

    assert result.exit_code == 1
    assert result.stderr == "parfocal: there is no adapter team/absent; see parfocal ls\n"


def test_a_failure_in_mid_stream_is_one_line_after_what_came(run: Run) -> None:
    with _server() as served:
        served.engine.failure = StepFailed("the model failed on this request")
        result = run("generate", "Hello", "--address", _address(served))

    assert (result.exit_code, result.stdout) == (1, "Once")
    assert result.stderr == "parfocal: the model failed on this request\n"


def test_an_address_where_nobody_answers_is_one_line_with_advice(run: Run) -> None:
    with _server() as served:
        address = _address(served)

    result = run("generate", "Hello", "--address", address)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"parfocal: no server answers at {address}")
    assert "parfocal serve" in result.stderr


def test_an_address_that_is_none_is_refused(run: Run) -> None:
    result = run("generate", "Hello", "--address", "localhost")

    assert result.exit_code == 1
    assert "host:port" in result.stderr


def test_every_way_to_draw_reaches_the_engine(run: Run) -> None:
    flags = {
        "--temperature": 0.5,
        "--top-k": 5,
        "--min-p": 0.1,
        "--repetition-penalty": 1.2,
        "--presence-penalty": 0.3,
        "--frequency-penalty": -0.4,
        "--top-logprobs": 2,
    }
    with _server() as served:
        given = [str(word) for pair in flags.items() for word in pair]
        result = run("generate", "Hello", *given, "--address", _address(served))
        sampling = served.engine.submitted[0].request.sampling

    assert result.exit_code == 0, result.output
    assert (sampling.temperature, sampling.top_k, sampling.min_p) == (0.5, 5, 0.1)
    assert sampling.repetition_penalty == 1.2
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.3, -0.4)


def test_several_answers_are_drawn_with_seeds_one_after_another(run: Run) -> None:
    with _server() as served:
        flags = ("--n", 3, "--temperature", 1, "--seed", 40, "--address", _address(served))
        result = run("generate", "Hello", *flags)
        seeds = sorted(each.request.sampling.seed or 0 for each in served.engine.submitted)

    assert seeds == [40, 41, 42]
    assert result.stdout.splitlines() == [
        line for number in (1, 2, 3) for line in (f"[{number}/3]", "Once upon a time")
    ]


def test_several_answers_are_a_list_in_json(run: Run) -> None:
    with _server() as served:
        result = run(
            "generate", "Hello", "--n", 2, "--temperature", 1, "--json", "--address", _address(served)
        )

    assert [answer["text"] for answer in json.loads(result.stdout)["answers"]] == ["Once upon a time"] * 2


def test_several_answers_of_which_all_would_be_the_same_are_refused(run: Run) -> None:
    result = run("generate", "Hello", "--n", 2)

    assert result.exit_code == 2
    assert "would all be the same" in result.stderr


@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_log_probabilities_are_shown_for_each_token(run: Run, stream: str) -> None:
    with _server() as served:
        result = run("generate", "Hello", "--logprobs", stream, "--address", _address(served))

    assert result.exit_code == 0, result.output
    answer, empty, headings, *rows = result.stdout.splitlines()
    assert (answer, empty) == ("Once upon a time", "")
    assert headings.split() == ["TOKEN", "LOGPROB", "SHARE", "LIKELIEST"]
    assert rows


def test_standard_input_that_is_no_text_is_a_mistake_in_usage() -> None:
    result = CliRunner().invoke(build_app(), ["generate", "-"], input=b"caf\xe9 is not UTF-8")

    assert result.exit_code == 2
    assert "standard input is not UTF-8 at byte 3" in result.stderr
