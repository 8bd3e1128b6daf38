"""The client, the registry and the command without torch; and what each extra brings is all that it needs."""

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from fakes.registry.peft_folders import write_adapter, write_base

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "peft", "trl", "bitsandbytes", "tokenizers", "starlette", "llguidance")
_NAME = re.compile(r"[\w.-]+")
_MARKED = re.compile(r"extra\s*==")
_EXTRA = re.compile(r"extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]")

# Every module that the extra is for, but for those of GPUs, whose compiler comes with torch there; and what
# transformers asks for only when it places a base on a device.
_IMPORT_ALL = """
import importlib, pkgutil, sys
from parfocal.engine import quick_imports
with quick_imports():
    for room in sys.argv[1:]:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if ".cuda" not in module.name:
                importlib.import_module(module.name)
    import accelerate
"""


def _pip(python: Path, *words: str) -> None:
    # What is imported is compiled when it is: most is not.
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
    environment = {**os.environ, "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


def _run(python: Path, *words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(python), *words], capture_output=True, text=True, check=False, env=environment, cwd=cwd
    )


def _new_environment(folder: Path) -> Path:
    """Returns the Python of a new environment without anything."""
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment where pip has installed the wheel, with what it asks for and no more."""
    python = _new_environment(tmp_path_factory.mktemp("bare") / "venv")
    _pip(python, str(wheel), "-c", str(ROOT / "constraints.txt"))
    return python


def test_a_bare_installation_has_no_tensor_library(bare: Path) -> None:
    program = "import sys, importlib.util as u; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    found = _run(bare, "-c", program, *HEAVY)

    assert found.stdout.strip() == "[]", found.stderr


def test_a_bare_installation_publishes_promotes_and_pulls(bare: Path, tmp_path: Path) -> None:
    base = write_base(tmp_path / "small-base")
    adapter = write_adapter(tmp_path / "adapter")
    registry = ("--registry", str(tmp_path / "registry"))
    for words in (
        ("push", str(adapter), "team/invoices", "--base", str(base), *registry),
        ("alias", "team/invoices", "prod", "1", *registry),
        ("pull", "team/invoices@prod", str(tmp_path / "pulled"), *registry),
        ("ls", *registry),
        ("registry", "--help"),
        ("--help",),
    ):
        done = _run(bare, "-m", "parfocal.cli", *words)
        assert (done.returncode, done.stderr) == (0, ""), words
    listed = json.loads(_run(bare, "-m", "parfocal.cli", "ls", "--json", *registry).stdout)
    assert "team/invoices" in json.dumps(listed)
    assert (tmp_path / "pulled" / "adapter_model.safetensors").is_file()


def test_a_bare_installation_asks_servers(bare: Path) -> None:
    done = _run(bare, "-m", "parfocal.cli", "generate", "Hello", "--address", "127.0.0.1:1")

    assert done.returncode == 1
    assert "no server answers" in done.stderr
    assert _run(bare, "-c", "import parfocal.client").returncode == 0


@pytest.mark.parametrize(
    ("words", "needed", "extra"),
    [
        (("serve", "--base", "tiny"), "torch", "serve"),
        (("bench", "--shape", "llama-test"), "torch", "serve"),
        (("train", "--data", "rows.jsonl", "--name", "team/x"), "torch", "train"),
        (("demo",), "torch", "all"),
    ],
)
def test_a_command_says_in_one_line_which_extra_it_needs(
    bare: Path, tmp_path: Path, words: tuple[str, ...], needed: str, extra: str
) -> None:
    done = _run(bare, "-m", "parfocal.cli", *words, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"parfocal: parfocal {words[0]} needs {needed}")
    assert done.stderr.endswith(f"pip install 'parfocal[{extra}]'\n")
    assert list(tmp_path.iterdir()) == []


def test_every_command_shows_its_help_without_the_extras(bare: Path) -> None:
    for command in ("serve", "train", "demo", "bench", "cache", "generate"):
        done = _run(bare, "-m", "parfocal.cli", command, "--help")
        assert (done.returncode, done.stderr) == (0, ""), command


def _requirements(distribution: metadata.Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """Yields the names that a distribution asks for, with the extra that it asks of each."""
    for text in distribution.requires or ():
        requirement, _, marker = text.partition(";")
        wanted = _EXTRA.search(marker)
        if wanted is None or wanted["extra"] == extra:
            name = _NAME.match(requirement.strip())
            assert name is not None
            within = re.search(r"\[([\w,-]+)\]", requirement)
            for each in within[1].split(",") if within else ("",):
                yield name[0], each


def _closure(wheel: Path, extra: str) -> set[str]:
    """Returns the distributions of this environment that the extra brings, with all that they ask for."""
    (own,) = metadata.distributions(path=[str(wheel)])
    open_, found = list(_requirements(own, extra)), set()
    while open_:
        wanted = open_.pop()
        if wanted in found or wanted[0] == "parfocal":
            continue
        try:
            distribution = metadata.distribution(wanted[0])
        except metadata.PackageNotFoundError:  # of another platform
            continue
        found.add(wanted)
        open_ += _requirements(distribution, wanted[1])
    return {name for name, _ in found}


def _with_extra(wheel: Path, extra: str, folder: Path) -> Path:
    """Returns the Python of an environment in which the wheel is installed with an extra."""
    python = _new_environment(folder / "venv")
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    for name in sorted(_closure(wheel, extra)):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
            source = Path(str(distribution.locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
    # Everything that pip would install is there in the versions of constraints.txt, or else it asks an index.
    _pip(python, f"{wheel}[{extra}]", "--no-index", "-c", str(ROOT / "constraints.txt"))
    return python


@pytest.mark.parametrize(
    ("extra", "rooms"),
    [
        ("serve", ("parfocal.engine", "parfocal.server", "parfocal.bench")),
        ("train", ("parfocal.training",)),
    ],
)
def test_an_extra_brings_all_that_it_is_for(
    wheel: Path, tmp_path: Path, extra: str, rooms: tuple[str, ...]
) -> None:
    python = _with_extra(wheel, extra, tmp_path)

    done = _run(python, "-c", _IMPORT_ALL, *rooms, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = "serve" if extra == "serve" else "train"
    assert _run(python, "-m", "parfocal.cli", command, "--help").returncode == 0


@pytest.mark.parametrize(
    ("extra", "program"),
    [
        ("postgres", "from parfocal.registry.index.postgres import PostgresIndex"),
        ("s3", "from parfocal.registry.blobs.objects import open_bucket; open_bucket('s3://bucket/prefix')"),
    ],
)
def test_an_extra_of_storage_brings_its_driver(wheel: Path, tmp_path: Path, extra: str, program: str) -> None:
    done = _run(_with_extra(wheel, extra, tmp_path), "-c", program)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("address", "extra"),
    [
        ("postgresql://me@db/adapters?blobs={}/blobs", "postgres"),
        ("sqlite://{}/index.sqlite?blobs=s3://bucket/prefix", "s3"),
    ],
)
def test_a_registry_whose_driver_is_absent_names_the_extra(
    bare: Path, tmp_path: Path, address: str, extra: str
) -> None:
    done = _run(bare, "-m", "parfocal.cli", "ls", "--registry", address.format(tmp_path))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"pip install 'parfocal[{extra}]'\n")
