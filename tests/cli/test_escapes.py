"""Whatever a registry, a server, a file or an argument holds, no terminal obeys it; JSON stays exact."""

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer
from typer.testing import Result

from fakes.registry.hostile import ESCAPES, OBEYED, hostile_registry
from fakes.registry.peft_folders import Adapter, write_adapter, write_base
from fakes.registry.registry_server import serving
from fakes.signing.signatures import key_of
from fakes.terminal import on_a_terminal
from parfocal.cli.app import build_app
from parfocal.cli.display import show_warnings_as_lines
from parfocal.registry import FolderRegistry
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

Run = Callable[..., Result]

# What each command is told so that it prints what came from elsewhere, or repeats what it was told.
WALK: dict[str, Sequence[Sequence[str]]] = {
    "alias": [("alias", "team/x", "beta", "1"), ("alias", "team/x", ESCAPES, "1")],
    "bench": [("bench", "--output", f"absent{ESCAPES}/x"), ("bench", f"--{ESCAPES}")],
    "cache ls": [("cache", "ls", "--base-cache", f"{{folder}}/cache{ESCAPES}")],
    "cache rm": [("cache", "rm", ESCAPES, "--base-cache", "{folder}/cache")],
    "data check": [
        ("data", "check", f"{{folder}}/rows{ESCAPES}.jsonl"),
        ("data", "check", f"{{folder}}/rows{ESCAPES}.jsonl", "--json"),
        ("data", "check", f"{{folder}}/absent{ESCAPES}"),
    ],
    "data example": [("data", "example", ESCAPES), ("data", "example", "emails", "--rows", "3")],
    "data show": [
        ("data", "show", f"{{folder}}/rows{ESCAPES}.jsonl"),
        ("data", "show", f"{{folder}}/rows{ESCAPES}.jsonl", "--mask", "--line", "1"),
    ],
    "demo": [("demo", "--folder", f"{{folder}}/file{ESCAPES}")],
    "diff": [("diff", "team/x@1", "team/x@2"), ("diff", ESCAPES, "team/x@2"), ("diff", "team/x", ESCAPES)],
    "eval": [
        ("eval", "team/x@1", "--data", f"{{folder}}/absent{ESCAPES}"),
        ("eval", ESCAPES, "--data", f"{{folder}}/rows{ESCAPES}.jsonl"),
        ("eval", "team/x@1", "--data", f"{{folder}}/rows{ESCAPES}.jsonl", "--metric", ESCAPES),
    ],
    "export": [
        ("export", "team/x@1", "--oci", f"{{folder}}/image{ESCAPES}"),
        ("export", "team/x@1", "--hub", ESCAPES),
        ("export", "team/x@1", "--merged", "{folder}/merged", "--base", ESCAPES),
    ],
    "canary": [
        ("alias", "team/x", "prod", "--canary", "2", "--abort-on", ESCAPES),
        ("alias", "team/x", "prod", "--canary", "2", "--actor", "ann"),
        ("canary", "team/x@prod"),
        ("canary", f"team/x@{ESCAPES}"),
        ("canary", "team/x@prod", "promote", "--override", "--reason", ESCAPES),
        ("canary", "team/x@prod", "--metrics-address", ESCAPES),
    ],
    "gate": [
        ("gate", "team/x@prod"),
        ("gate", f"team/x@{ESCAPES}"),
        ("gate", "team/x@prod", "set", "--base-of", "team/x@2"),
        ("gate", "team/x@prod", "set", "--at-least", f"{ESCAPES}=1"),
    ],
    "gc": [("gc", "--dry-run"), ("gc", ESCAPES)],
    "generate": [("generate", "Hello", "--address", "{address}"), ("generate", f"--{ESCAPES}")],
    "import": [
        ("import", "--oci", f"{{folder}}/absent{ESCAPES}"),
        ("import", ESCAPES, "--oci", "{folder}/adapter", "--tag", ESCAPES),
    ],
    "keys add": [("keys", "add", ESCAPES, "--scope", ESCAPES, "--file", f"{{folder}}/keys{ESCAPES}")],
    "keys ls": [("keys", "ls", "--file", f"{{folder}}/absent{ESCAPES}")],
    "keys rm": [("keys", "rm", ESCAPES, "--file", f"{{folder}}/absent{ESCAPES}")],
    "log": [("log", "team/x"), ("log", "team/x", ESCAPES)],
    "ls": [
        ("ls",),
        ("ls", "team/x"),
        ("ls", f"{ESCAPES}/"),
        ("ls", "team/x", "--metric", f"metric{ESCAPES}>0"),
        ("ls", "--metric", f"f1>{ESCAPES}"),
        ("ls", "--tag", ESCAPES, "--search", ESCAPES),
    ],
    "plan": [("plan", "--data", f"{{folder}}/rows{ESCAPES}.jsonl", "--name", "team/x")],
    "pull": [("pull", "team/x@1", f"{{folder}}/pulled{ESCAPES}"), ("pull", "team/x@2", "{folder}/2")],
    "push": [
        ("push", "{folder}/adapter", "team/z", "--base", f"{{folder}}/base{ESCAPES}"),
        ("push", f"{{folder}}/absent{ESCAPES}", "team/z"),
    ],
    "registry backup": [("registry", "backup", f"{{folder}}/backup{ESCAPES}")],
    "registry log": [("registry", "log"), ("registry", "log", "--verify", "--against", ESCAPES)],
    "registry rebuild": [("registry", "rebuild", f"{{folder}}/absent{ESCAPES}")],
    "registry serve": [
        ("registry", "serve", "--config", "{folder}/settings.toml"),
        ("registry", "serve", "--config", f"absent{ESCAPES}.toml"),
    ],
    "registry usage": [("registry", "usage"), ("registry", "usage", "--registry", ESCAPES)],
    "registry verify": [("registry", "verify")],
    "rm": [("rm", "team/x@2"), ("rm", "team/x", "--force"), ("rm", ESCAPES)],
    "rollback": [("rollback", "team/x", "prod"), ("rollback", "team/x", "prod")],
    "serve": [
        ("serve", "--config", "{folder}/settings.toml"),
        ("serve", "--config", f"absent{ESCAPES}.toml"),
    ],
    "show": [
        ("show", "team/x@2"),
        ("show", ESCAPES),
        ("show", "team/x@2", "--card"),
        ("show", "team/x@1", "--address", ESCAPES),
    ],
    "sign": [
        ("sign", "team/x@1", "--key", f"{{folder}}/absent{ESCAPES}"),
        ("sign", "team/x@1", "--key", "{folder}/key.pem"),
    ],
    "status": [("status", "--address", f"nowhere{ESCAPES}")],
    "top": [("top", "--once", "--address", f"nowhere{ESCAPES}")],
    "trust add": [("trust", "add", ESCAPES, "{folder}/key.pub", "--file", f"{{folder}}/keys{ESCAPES}")],
    "trust ls": [("trust", "ls", "--file", f"{{folder}}/absent{ESCAPES}")],
    "trust new-key": [("trust", "new-key", f"{{folder}}/new{ESCAPES}")],
    "trust rm": [("trust", "rm", ESCAPES, "--file", f"{{folder}}/absent{ESCAPES}")],
    "train": [("train", "--check", "--data", f"{{folder}}/rows{ESCAPES}.jsonl", "--name", "team/x")],
    "tune": [
        ("tune", f"{{folder}}/absent{ESCAPES}.jsonl", "--name", "team/x"),
        ("tune", f"{{folder}}/rows{ESCAPES}.jsonl", "--name", "team/x", "--search", f"rank={ESCAPES}"),
        ("tune", f"{{folder}}/rows{ESCAPES}.jsonl", "--name", "team/x", "--search", f"{ESCAPES}=1,2"),
    ],
    "verify": [("verify", "team/x@1", "--keys", "{folder}/key.pub"), ("verify", ESCAPES, "--keys", ESCAPES)],
}
# These ask a registry, wherever it is.
ASKING = (
    "alias", "canary", "diff", "export", "gate", "log", "ls", "pull", "push", "rm", "rollback", "show",
    "sign", "verify",
)  # fmt: skip


def commands(group: Any = None, words: str = "") -> Iterator[str]:
    root: Any = group or typer.main.get_command(build_app())
    for name, command in root.commands.items():
        whole = f"{words} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, whole)
        else:
            yield whole


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hostile registry, and files with such names and contents."""
    made = tmp_path_factory.mktemp("hostile")
    hostile_registry(made / "registry", made)
    write_base(made / f"base{ESCAPES}")
    write_adapter(made / "adapter", Adapter(config={"base_model_name_or_path": f"org/{ESCAPES}"}))
    (made / f"file{ESCAPES}").touch()
    (made / "settings.toml").write_text(f"{json.dumps(ESCAPES)} = 1\n")
    key = key_of("eve")
    (made / "key.pem").write_bytes(key.to_pem())
    (made / "key.pub").write_bytes(key.public.to_pem())
    row = json.dumps({"prompt": ESCAPES, "completion": "x", ESCAPES: 1})
    (made / f"rows{ESCAPES}.jsonl").write_text(f"{row}\n{row}\nno {ESCAPES}\n")
    return made


@pytest.fixture
def folder(pattern: Path, tmp_path: Path) -> Path:
    """A copy of the pattern, to change."""
    shutil.copytree(pattern, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


class Hostile:
    """A server whose every answer acts on a terminal."""

    Tokenize = ListLoadedAdapters = GenerateBatch = Embed = Detokenize = None

    def GetModel(self, request: object, context: object) -> pb.Model:
        return pb.Model(has_chat_template=False)

    def Generate(self, request: object, context: object) -> pb.GenerateResponse:
        found = pb.GenerateResponse(text=ESCAPES, warnings=[ESCAPES])
        found.adapter.name = ESCAPES
        found.logprobs.add(text=ESCAPES, logprob=-1.0).top.add(text=ESCAPES, logprob=-1.0)
        return found

    def GenerateStream(self, request: object, context: object) -> Iterator[pb.GenerateStreamResponse]:
        yield from (pb.GenerateStreamResponse(delta_text=character) for character in ESCAPES)
        yield pb.GenerateStreamResponse(final=self.Generate(request, context))


class Refusing(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # not generic when it runs
    """A server that refuses every rpc with a text that acts on a terminal."""

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        def refuse(request: object, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, ESCAPES)

        return grpc.unary_unary_rpc_method_handler(refuse)


@contextlib.contextmanager
def served(refusing: bool = False) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Refusing()] if refusing else [])
    if not refusing:
        hostile: Any = Hostile()
        pb_grpc.add_InferenceServiceServicer_to_server(hostile, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def check(text: str) -> None:
    assert not [each for each in OBEYED if each in text]


def walk(run: Run, folder: Path, names: Sequence[str], address: str = "127.0.0.1:1") -> str:
    """What the commands print, checked; every one prints something of what is hostile."""
    printed = ""
    for name in names:
        told = ""
        for words in WALK[name]:
            filled = [word.replace("{folder}", str(folder)).replace("{address}", address) for word in words]
            result = run(*filled, stdin="n\n")
            assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
            told += result.stdout + result.stderr
        check(told)
        printed += told
    return printed


def test_every_command_is_walked() -> None:
    assert set(commands()) == set(WALK)


@pytest.mark.parametrize("name", WALK)
def test_a_command_prints_what_it_finds_and_what_it_was_told_without_acting_on_a_terminal(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PARFOCAL_REGISTRY", str(folder / "registry"))
    monkeypatch.chdir(folder)
    assert walk(run, folder, [name])


def test_a_registry_elsewhere_acts_on_no_terminal_either(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with serving(FolderRegistry(folder / "registry"), folder / "uploads") as address:
        monkeypatch.setenv("PARFOCAL_REGISTRY", f"grpc://{address}")
        assert "PWNED" in walk(run, folder, ASKING)


def test_what_a_server_refuses_with_acts_on_no_terminal(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(refusing=True) as address:
        monkeypatch.setenv("PARFOCAL_REGISTRY", f"grpc://{address}")
        assert walk(run, folder, [*ASKING, "generate"], address).count("PWNED") >= len(ASKING)


@pytest.mark.parametrize("words", [("--no-stream", "--logprobs"), ()])
def test_an_answer_acts_on_no_terminal_and_reaches_a_pipe_as_it_is(run: Run, words: Sequence[str]) -> None:
    with served() as address:
        asked = ("generate", "Hello", "--address", address, *words)
        code, shown = on_a_terminal(*asked)
        piped = run(*asked)
    assert code == 0
    assert "PWNED" in shown and "\r\nforged" in shown  # an answer may have lines
    assert not [each for each in OBEYED if each in shown.replace("\r\n", " ")]
    assert piped.stdout.startswith(ESCAPES)
    check(piped.stderr)


def test_json_is_exact_and_acts_on_no_terminal(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARFOCAL_REGISTRY", str(folder / "registry"))
    shown = run("show", "team/x@2", "--json")
    check(shown.stdout)
    document = json.loads(shown.stdout)
    assert document["manifest"]["provenance"]["parent"] == ESCAPES
    assert document["manifest"]["evaluation"]["metrics"] == {f"metric{ESCAPES}": 0.5}
    assert document["alias_history"][0]["actor"] == f"eve{ESCAPES}"
    with served() as address:
        answer = run("generate", "Hello", "--address", address, "--json")
    check(answer.stdout)
    assert json.loads(answer.stdout)["text"] == ESCAPES


def test_bars_and_tables_on_a_terminal_show_what_is_there(folder: Path) -> None:
    registry = ["--registry", str(folder / "registry")]
    base = ["--base", f"{folder}/base{ESCAPES}"]
    for words in (("show", "team/x@2"), ("push", str(folder / "adapter"), "team/z", *base)):
        _, shown = on_a_terminal(*words, *registry)
        assert "PWNED" in "".join(shown.split())
        check(shown.replace("\r\n", " "))


def test_warnings_outside_a_log_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show_warnings_as_lines()
    assert logging.lastResort is not None
    record = logging.LogRecord("x", logging.WARNING, "file", 1, "of %s", (ESCAPES,), None)
    check(logging.lastResort.format(record))
