"""What threads do for a caller who goes away."""

import asyncio
import os
from pathlib import Path

import pytest

from parfocal.registry.faces.threads import Threads


def test_a_file_is_closed_although_its_reader_went_away_while_it_opened(tmp_path: Path) -> None:
    """Python warns of a file that nobody has closed, and a warning is an error here."""
    slow = tmp_path / "pipe"
    os.mkfifo(slow)  # opens once somebody writes

    async def scenario() -> None:
        threads = Threads(1, "test")

        async def read() -> None:
            await threads.open(slow)
            pytest.fail("nobody is there to read")

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        with slow.open("wb"):
            await threads(bool)  # begins when the file is open
        await asyncio.sleep(0)

    asyncio.run(scenario())
