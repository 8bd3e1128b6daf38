"""Bases and adapters that several engine tests share; made once a session."""

from pathlib import Path

import pytest

from oracle.bases import configurations, write_base


@pytest.fixture(scope="session")
def llama_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random Llama."""
    return write_base(tmp_path_factory.mktemp("bases") / "llama", configurations()["llama"])
