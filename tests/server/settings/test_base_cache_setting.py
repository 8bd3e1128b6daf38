"""Where the server keeps bases for its next start: in the user's cache, in a stated folder, or nowhere."""

from pathlib import Path

import pytest

from parfocal.server import ServeConfig
from parfocal.server.assembly import load


@pytest.mark.parametrize(
    ("setting", "expected"), [("auto", "xdg/parfocal/bases"), ("{tmp}/mine", "mine"), ("", None)]
)
def test_a_base_is_kept_where_the_setting_says(
    tmp_path: Path, served_base: Path, monkeypatch: pytest.MonkeyPatch, setting: str, expected: str | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    loaded = load(
        ServeConfig(
            base=str(served_base),
            registry=str(tmp_path / "registry"),
            base_cache=setting.format(tmp=tmp_path),
        )
    )

    entries = {path.parent.parent.relative_to(tmp_path) for path in tmp_path.rglob("entry.json")}
    assert entries == ({Path(expected)} if expected else set())
    assert loaded.memory.base_bytes == loaded.base.info.memory_bytes
