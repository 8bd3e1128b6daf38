"""What the tests on a GPU start from. Collected everywhere; nothing here touches CUDA before a test runs."""

from pathlib import Path

import pytest

from oracle.bases import configurations, write_base


@pytest.fixture(scope="session")
def llama_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random Llama, written once a session."""
    return write_base(tmp_path_factory.mktemp("bases") / "llama", configurations()["llama"])
