"""What every test starts from: no network, no settings of the person who runs it, throw-away caches.

Fixtures of one area live in that area's folder.
"""

import gc
import os
import signal
import tempfile
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import settings

from lanes import Lanes
from parfocal.engine import quick_imports, wait_briefly

settings.register_profile("parfocal", deadline=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("parfocal"), max_examples=20)
settings.load_profile("parfocal")

# The command reads at its import where registries are kept. So this is set before another conftest is read.
_FOLDER = tempfile.TemporaryDirectory(prefix="parfocal-tests-")
os.environ["XDG_DATA_HOME"] = f"{_FOLDER.name}/data"

# Triton decides at its import whether its own functions are interpreted, and transformers' model code imports
# it. So this is set before another conftest is read.
if version("torch").endswith("+cpu") or not any(Path("/dev").glob("nvidia[0-9]*")):
    os.environ["TRITON_INTERPRET"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what `tests/lanes.py` does, and how long the random tests of the engine go on."""
    parser.addoption("--quick", action="store_true", help="leave out the files of tests/slow.txt")
    parser.addoption("--record-lanes", action="store_true", help="add what is slow to tests/slow.txt")
    parser.addoption("--schedules", type=int, default=300, help="random lives of an engine to check")
    parser.addoption("--resends", type=int, default=20, help="how often each client sends its id again")


def pytest_configure(config: pytest.Config) -> None:
    """Points the caches at a temporary folder, before any library reads the environment at its import."""
    if config.getoption("--quick"):
        settings.load_profile("quick")
    records = config.getoption("--record-lanes") and not hasattr(config, "workerinput")
    config.pluginmanager.register(Lanes(config.getoption("--quick"), records))
    # Ctrl-C is ignored in what a shell starts in the background; a test that sends it would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Two processes share the tests and the cores.
    wait_briefly()
    caches = Path(_FOLDER.name)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HOME"] = str(caches / "huggingface")
    os.environ["XDG_CACHE_HOME"] = str(caches)
    os.environ["MPLCONFIGDIR"] = str(caches / "matplotlib")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes the temporary caches, and leaves nothing out of the last collection."""
    gc.unfreeze()
    _FOLDER.cleanup()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the settings of the person who runs the tests: every `PARFOCAL_…` variable is absent."""
    for name in [name for name in os.environ if name.startswith("PARFOCAL_")]:
        monkeypatch.delenv(name)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Reads all files, and with them most libraries, as the command does."""
    with quick_imports():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests marked `gpu` where there is no accelerator; imports torch only for them."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not _has_accelerator():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no accelerator on this machine"))


def pytest_collection_finish() -> None:
    """Spares the collector what the libraries hold: it would go through all of torch hundreds of times."""
    gc.collect()
    gc.freeze()


def _has_accelerator() -> bool:
    import torch

    return torch.cuda.is_available()
