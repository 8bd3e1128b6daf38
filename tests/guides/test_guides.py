"""Every command that a guide shows is run as it stands there; every file and command that it names exists."""

import re
import shutil
import socket
from pathlib import Path

import pytest

from guides.guide import blocks, run, script
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.registry import locate_base

ROOT = Path(__file__).resolve().parents[2]
GUIDES = {
    name: ROOT / name
    for name in (
        "README.md",
        "server/README.md",
        "registry/README.md",
        "training/README.md",
        "protos/README.md",
        "deploy/README.md",
        "tests/bench/README.md",
    )
}
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def _changes() -> dict[str, str]:
    """Other ports than a person uses, few training steps, this installation's command, and no network."""
    grpc, rest, metrics = _free_ports(3)
    return {
        ".venv/bin/": "",
        "50051": str(grpc),
        ":8000": f":{rest}",
        "9464": str(metrics),
        "parfocal train --data": "parfocal train --steps 2 --data",
        # Tests are offline; a hub of one's own is reached all the same, and nobody else is asked for news.
        "export HF_": "export HF_HUB_OFFLINE=0 HF_HUB_DISABLE_UPDATE_CHECK=1 DO_NOT_TRACK=1 HF_",
    }


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What readers are told to bring: rows, and adapters that PEFT has written."""
    folder = tmp_path_factory.mktemp("brought")
    tiny = locate_base("tiny", weights=True).folder
    for seed, name in ((1, "my-adapter"), (2, "my-adapter-2")):
        write_adapter(folder / name, tiny, AdapterShape(rank=4), seed)
    rows = (f'{{"prompt": "Number {n}", "completion": "{n} it is"}}\n' for n in range(60))
    (folder / "rows.jsonl").write_text("".join(rows), "utf-8")
    return folder


@pytest.fixture
def desk(brought: Path, tmp_path: Path) -> Path:
    """A reader's own folder with all that."""
    return Path(shutil.copytree(brought, tmp_path / "desk"))


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_runs_as_it_stands(name: str, desk: Path) -> None:
    changes = _changes()
    command = f"export PARFOCAL_GRPC_ADDRESS=127.0.0.1:{changes['50051']}\n"
    command += f"export PARFOCAL_HTTP_ADDRESS=127.0.0.1{changes[':8000']}\n"
    command += f"export PARFOCAL_METRICS_ADDRESS=127.0.0.1:{changes['9464']}\n"
    command += f"export PARFOCAL_ADDRESS=127.0.0.1:{changes['50051']}\n"

    outcome = run(command + script(GUIDES[name]), desk, changes)

    assert outcome.code == 0, outcome.output


@pytest.mark.parametrize("name", GUIDES)
def test_no_block_is_overlooked(name: str) -> None:
    opened = re.findall("^```(?:sh|python)", GUIDES[name].read_text("utf-8"), re.MULTILINE)

    assert len(blocks(GUIDES[name])) == len(opened)


@pytest.mark.parametrize("name", GUIDES)
def test_a_block_that_is_not_run_says_why(name: str) -> None:
    assert [block.text for block in blocks(GUIDES[name]) if block.reason == ""] == []


@pytest.mark.parametrize("name", [*GUIDES, ".github/ARCHITECTURE.md", ".github/CONTRIBUTING.md"])
def test_a_guide_links_only_to_what_is_there(name: str) -> None:
    page = ROOT / name
    targets = _LINK.findall(page.read_text("utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []
