"""Whatever is typed, piped or lies in a file: no command answers it with a traceback."""

import errno
import functools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from fakes.ready_runner import ReadyRunner
from fakes.registry.peft_folders import Adapter, write_adapter, write_base
from fakes.served_aside import served_aside
from parfocal.cli.app import build_app
from parfocal.cli.failures import explain
from parfocal.registry import FolderRegistry

Run = Callable[..., Result]

HOSTILE = (
    "",
    " ",
    "-1",
    "0",
    "99999999999",
    "9" * 25,
    "-" + "9" * 25,
    "9" * 5000,
    "1e400",
    "nan",
    "-inf",
    "a\0b",
    "caf\udce9",
    "\N{CJK UNIFIED IDEOGRAPH-4E2D}\N{GRINNING FACE}",
    "a" * 5000,
    "../..",
    "/dev/null",
    "/proc/self/mem",
    "grpc://",
    "grpc://[::1",
    "http://[::1",
    "127.0.0.1:" + "9" * 5000,
    "x@sha256:zz",
    "a/b@c@d",
    "=",
    "[1",
    "a=b",
    "1-2-3",
    "1x99999999999",
    "0-99999999999",
    "cuda:99",
    "@",
)
# Neighbouring parameters share the words between them: all words for all would take minutes.
_SHARES = 6
# What each command is told beside the hostile word, so that it ends before it does anything that takes long.
# No address is bound: strangers could reach these without a key.
USUAL: Mapping[str, Mapping[str, str | None]] = {
    "serve": {"--config": "absent.toml", "--base": "/nonexistent", "--grpc-address": "0.0.0.0:0"},
    "registry serve": {"--config": "absent.toml", "--grpc-address": "0.0.0.0:0"},
    "generate": {"--address": "{address}", "--timeout": "5"},
    "train": {"--check": None, "--data": "no-rows.jsonl", "--name": "team/x"},
    "tune": {"--data": "no-rows.jsonl", "--name": "team/x"},
    "bench": {"--shape": "llama-test", "--prompt-tokens": "600", "--skip-peft": None, "--cache": "cache"},
}
ARGUMENTS = {
    "PROMPT": "Hello",
    "FOLDER": "full",
    "NAME": "team/invoices",
    "REF": "team/invoices",
    "ALIAS": "prod",
    "VERSION": "1",
    "NAME@VERSION": "team/absent@1",
}


def _parameters() -> Iterator[tuple[str, str]]:
    for name, command in _commands().items():
        for parameter in command.params:
            # Any word that can be a folder makes a demo begin.
            if name != "demo" and not getattr(parameter, "is_flag", False):
                yield name, parameter.name or ""


@functools.cache
def _commands() -> dict[str, Any]:
    """Returns every command by the words that call it, those of groups too."""
    found: dict[str, Any] = {}
    pending = [("", typer.main.get_command(build_app()))]
    while pending:
        words, command = pending.pop()
        for name, inner in getattr(command, "commands", {}).items():
            pending.append((f"{words} {name}".strip(), inner))
        if not hasattr(command, "commands"):
            found[words] = command
    return found


@pytest.fixture(scope="module")
def ready() -> ReadyRunner:
    return ReadyRunner(build_app())


@pytest.fixture
def run(ready: ReadyRunner) -> Run:
    """Returns a function that runs `parfocal`, which is built once for hundreds of calls."""
    return lambda *words: ready.call([str(word) for word in words])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served_aside() as served:
        yield f"127.0.0.1:{served.wire.port}"


@pytest.fixture(scope="module", autouse=True)
def crowded_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Makes the working folder one with a folder that is not empty and a file that is no JSON."""
    folder = tmp_path_factory.mktemp("crowded")
    (folder / "full").mkdir()
    (folder / "full" / "file").touch()
    (folder / "no-rows.jsonl").write_bytes(bytes(range(256)))
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def _words(name: str, hostile: str, word: str, address: str) -> list[str]:
    """Returns the words of a call in which the parameter named `hostile` has this value."""
    command, values = _commands()[name], list[str]()
    flags = dict(USUAL.get(name, {}))
    for parameter in command.params:
        is_hostile = parameter.name == hostile
        if parameter.param_type_name == "argument":
            if is_hostile or parameter.required:
                metavar = (getattr(parameter, "metavar", None) or parameter.name or "").strip("[]")
                values.append(word if is_hostile else ARGUMENTS.get(metavar, "x"))
        elif is_hostile:
            flags[parameter.opts[0]] = word
    given = [flag if value is None else f"{flag}={value}" for flag, value in flags.items()]
    return [*name.split(), *(each.replace("{address}", address) for each in given), "--", *values]


def _check(result: Result) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in (0, 1, 2)
    assert "Traceback" not in result.stderr
    if result.exit_code == 1 and result.stderr.startswith("parfocal:"):
        assert result.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a registry with one version and an alias."""
    folder = tmp_path_factory.mktemp("stocked")
    base, run = write_base(folder / "base"), CliRunner().invoke
    app, registry = build_app(), str(folder / "registry")
    adapter = write_adapter(folder / "adapter", Adapter(fill=1))
    push = ["push", str(adapter), "team/invoices", "--base", str(base), "--registry", registry]
    assert run(app, push).exit_code == 0
    assert run(app, ["alias", "team/invoices", "prod", "1", "--registry", registry]).exit_code == 0
    return folder / "registry"


@pytest.fixture
def in_stock(stocked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it the registry of every command."""
    monkeypatch.setenv("PARFOCAL_REGISTRY", str(stocked))


@pytest.mark.parametrize("folder", ["full", "full/file", "/dev/null", "/dev/null/x", "/proc/x", "a" * 5000])
def test_a_folder_in_which_no_demo_can_be_is_refused_in_words(run: Run, folder: str) -> None:
    result = run("demo", "--folder", folder)

    _check(result)
    assert result.exit_code in (1, 2)


@pytest.mark.parametrize(
    ("name", "parameter", "words"),
    [(*each, HOSTILE[place % _SHARES :: _SHARES]) for place, each in enumerate(sorted(_parameters()))],
)
@pytest.mark.usefixtures("in_stock")
def test_a_hostile_word_is_taken_or_refused_in_words(
    run: Run, address: str, name: str, parameter: str, words: tuple[str, ...]
) -> None:
    for word in words:
        _check(run(*_words(name, parameter, word, address)))


@pytest.mark.parametrize("variable", ["PARFOCAL_REGISTRY", "PARFOCAL_ADDRESS", "PARFOCAL_SLOTS"])
@pytest.mark.parametrize("word", ["", "9" * 25, "caf\udce9", "[::1", "/dev/null"])
def test_a_hostile_variable_is_refused_in_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, word: str
) -> None:
    monkeypatch.setenv(variable, word)

    for command in (["ls"], ["generate", "Hello", "--timeout=1"], ["serve", "--config=absent.toml"]):
        _check(run(*command))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"null", b"[1]", b'{"r": 1e999}', b"\0" * 64],
)
def test_a_hostile_file_is_refused_in_words(run: Run, tmp_path: Path, registry: Path, content: bytes) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors", "rows.jsonl", "settings.toml"):
        (folder / name).write_bytes(content)

    for words in (
        ["push", folder, "team/x", "--base", "tiny"],
        ["push", folder, "team/x"],
        ["train", "--check", "--data", folder / "rows.jsonl", "--name", "team/x"],
        ["serve", "--config", folder / "settings.toml", "--base", "/nonexistent", "--slots", "0"],
        ["ls", "--registry", folder / "rows.jsonl"],
    ):
        _check(run(*words))


@pytest.mark.parametrize("typed", [b"", b"\xff\n", b"n\n"])
def test_a_hostile_answer_deletes_nothing(published: Path, typed: bytes) -> None:
    result = CliRunner().invoke(build_app(), ["rm", "team/invoices@2"], input=typed)

    _check(result)
    assert result.exit_code == 1
    assert "Deleted" not in result.stdout


def _process(*words: str, **options: object) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "parfocal.cli", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]  # as Popen takes them


def test_a_reader_that_has_gone_is_no_failure_to_tell_of(published: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with _process("ls", "team/invoices", "--json", stdout=writing) as process:
        os.close(writing)
        _, said = process.communicate()

    # As a shell reports those whom SIGPIPE ended.
    assert (process.returncode, said) == (128 + signal.SIGPIPE, b"")


def test_who_has_read_enough_ends_a_command_that_would_go_on(published: Path) -> None:
    with _process("log", "--follow", "--after", "0", stdout=subprocess.PIPE) as process:
        out, err = process.stdout, process.stderr
        assert out is not None and err is not None
        first = out.readline()
        out.close()
        FolderRegistry(published).set_alias("team/invoices", "prod", 2)
        said = err.read()

    assert b"team/invoices@1 published" in first
    assert (process.returncode, said) == (128 + signal.SIGPIPE, b"")


def test_ctrl_c_ends_a_command_in_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with _process("generate", "Hello", "--wait", "--address", address, stdout=subprocess.PIPE) as process:
            # Whoever has connected is waiting for an answer.
            connection, _ = mute.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                out, said = process.communicate()

    assert (process.returncode, out, said) == (130, b"", b"")


def test_output_that_the_terminal_cannot_spell_is_no_failure(published: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    with _process("show", "team/invoices@1", stdout=subprocess.PIPE, env=environment) as process:
        out, said = process.communicate()

    assert (process.returncode, said) == (0, b"")
    assert b"team/invoices@1" in out


def test_json_stays_json_where_the_terminal_cannot_spell_it(published: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}

    with _process("ls", "--json", stdout=subprocess.PIPE, env=environment) as process:
        out, _ = process.communicate()

    assert json.loads(out)["adapters"][0]["name"] == "team/invoices"


# Each command has a process of its own, begun as if without these streams; what all import is imported once.
_EACH = """
import os, sys
import parfocal.cli.app
from parfocal.cli.__main__ import main
closed, *commands = sys.argv[1:]
failed = 0
for command in commands:
    child = os.fork()
    if child == 0:
        for name in closed.split():
            os.close(getattr(sys, name).fileno())
            setattr(sys, name, None)
        sys.argv[1:] = command.split()
        sys.exit(main())
    failed += os.waitpid(child, 0)[1] != 0
sys.exit(failed)
"""


@pytest.mark.parametrize("closed", ["stdout", "stderr", "stdin stdout stderr"])
def test_a_command_runs_without_its_standard_streams(published: Path, closed: str) -> None:
    commands = ("ls", "ls --json", "show team/invoices@1", "--help")

    done = subprocess.run([sys.executable, "-c", _EACH, closed, *commands], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"team/invoices" in done.stdout) == ("stdout" not in closed)


def test_what_is_opened_never_takes_the_number_of_a_closed_stream(published: Path) -> None:
    script = (
        "import os\nfrom parfocal.cli.__main__ import main\nimport sys\nsys.argv[1:] = ['--version']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "sys.exit(sum(os.readlink(f'/proc/self/fd/{n}') != os.devnull for n in (0, 1, 2)))"
    )

    line = '"$0" -c "$1" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", line, sys.executable, script], check=False)

    assert done.returncode == 0


@pytest.mark.parametrize("words", [("ls",), ("ls", "--json"), ("show", "team/invoices@1")])
def test_output_that_does_not_fit_is_named(published: Path, words: list[str]) -> None:
    with open("/dev/full", "wb") as full, _process(*words, stdout=full) as process:
        _, said = process.communicate()

    assert (process.returncode, said) == (
        1,
        b"parfocal: standard output: No space left on device; free some on its disk\n",
    )


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("show", "team/invoices@9"), "parfocal ls team/invoices shows"),
        (("show", "team/invoices@nope"), "parfocal ls team/invoices shows"),
        (("show", "team/invoices@sha256:" + "0" * 12), "parfocal ls team/invoices shows"),
        (("show", "team/invoices@sha256:ffff"), "8 to 64"),
        (("show", "sha256:" + "0" * 12), "NAME@sha256:"),
        (("alias", "team/invoices", "prod", "9"), "parfocal ls team/invoices shows"),
        (("alias", "team/invoices", "nope", "--delete"), "parfocal ls team/invoices shows"),
        (("rollback", "team/invoices", "prod"), "parfocal log team/invoices shows"),
        (("ls", "--registry", "grpc://127.0.0.1:1"), "parfocal serve"),
        (("registry", "rebuild", "grpc://127.0.0.1:1"), "on its machine"),
        (("pull", "team/invoices", "/"), "give a new folder"),
    ],
)
def test_a_refusal_says_what_to_do(published: Path, run: Run, words: list[str], advice: str) -> None:
    result = run(*words)

    assert result.exit_code in (1, 2)
    assert advice in result.stderr


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some"),
        (errno.EDQUOT, "free some"),
        (errno.EACCES, "another place"),
        (errno.EROFS, "another place"),
    ],
)
def test_what_the_system_refuses_comes_with_advice(number: int, advice: str) -> None:
    told = str(explain(OSError(number, os.strerror(number), "source", None, "target")))

    assert told.startswith(f"target: {os.strerror(number)}; ")
    assert advice in told
