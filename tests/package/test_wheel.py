"""The wheel: the product and nothing else, and it works where there is no checkout."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the `parfocal` of a new environment that has the wheel, and the libraries of this one."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    # Of a folder that is named here, no .pth counts: none of the checkout's own sources is found.
    libraries = {path for path in sys.path if path.endswith("site-packages")}
    (site / "libraries.pth").write_text("".join(f"{path}\n" for path in sorted(libraries)))
    install = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
    subprocess.run(
        [*install, "--no-deps", "--no-index", "--force-reinstall", "--quiet", str(wheel)],
        check=True,
        capture_output=True,
    )
    return home / "bin" / "parfocal"


@pytest.fixture
def parfocal(installed: Path, tmp_path: Path) -> Command:
    """Returns a function that runs the installed command in an empty folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(installed), *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
        )

    return run


def _names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_product_and_nothing_else(wheel: Path) -> None:
    names = _names(wheel)
    packages = {name.split("/")[1] for name in names if name.startswith("parfocal/")}

    assert {name.split("/")[0].partition("-")[0] for name in names} == {"parfocal"}
    assert {"v1", "rpc", "registry", "engine", "server", "training", "bench", "cli"} <= packages
    for foreign in ("rival", "picture", "peft_batch", "endpoint_flags", "gpu_stand", "tiny_base", "test_"):
        assert [name for name in names if foreign in name] == []


def test_the_embedded_base_and_the_kernels_sources_are_in(wheel: Path) -> None:
    names = _names(wheel)

    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        assert [name for name in names if name.endswith(f"/tiny/{file}")]
    assert any(name.endswith(".cpp") for name in names)
    assert {"parfocal/cli/py.typed", "parfocal/bench/py.typed"} <= set(names)


def test_the_command_runs_from_the_wheel_alone(parfocal: Command, installed: Path) -> None:
    python = installed.with_name("python")
    found = subprocess.run(
        [str(python), "-c", "import parfocal.cli as cli; print(cli.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=installed.parent,
    )

    assert Path(found.stdout.strip()).is_relative_to(installed.parents[1])
    for words in (["--help"], ["demo", "--help"], ["serve", "--help"], ["bench", "--help"]):
        done = parfocal(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage:" in done.stdout


def test_a_registry_is_made_and_read_from_the_wheel(parfocal: Command) -> None:
    missing = parfocal("ls", "--registry", "absent")

    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("parfocal: ")


@pytest.mark.parametrize(
    "words", [["--plot", "bench.png"], ["--endpoint", "http://127.0.0.1:1"], ["--endpoint-base", "base"]]
)
def test_what_needs_the_checkout_says_so_in_one_line(parfocal: Command, words: list[str]) -> None:
    done = parfocal("bench", "--shape", "llama-test", *words)

    assert (done.returncode, done.stdout) == (1, "")
    assert "needs tests/bench" in done.stderr
    assert done.stderr.count("\n") == 1
