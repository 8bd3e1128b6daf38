"""What a person at a terminal sees beside the answer: progress, whole tables, who answered."""

from collections.abc import Callable
from pathlib import Path

from fakes.terminal import on_a_terminal


def _on_a_terminal(*arguments: str) -> str:
    code, text = on_a_terminal(*arguments)
    assert code == 0, text
    return text


def test_push_shows_a_bar_and_show_folds_what_is_too_wide(
    small_base: Path, adapter_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    registry = ["--registry", str(tmp_path / "registry")]

    pushed = _on_a_terminal(
        "push", str(adapter_folder(1)), "team/invoices", "--base", str(small_base), *registry
    )
    shown = _on_a_terminal("show", "team/invoices", *registry)

    assert "Publishing team/invoices" in pushed
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 60 + len("\x1b[1m\x1b[0m") * 2
    assert "".join(shown.split()).count("sha256:") >= 4
