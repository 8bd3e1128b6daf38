"""The loss curve: a PNG of the points that the history holds."""

from pathlib import Path

from matplotlib.axes import Axes

from parfocal.registry.values import JSON
from parfocal.training.runs.curve import curve_figure, draw_curve, points

HISTORY = [
    {"step": 0, "base_loss": 3.0},
    {"step": 1, "loss": 2.5, "grad_norm": 1.0},
    {"step": 2, "loss": 2.0},
    {"step": 2, "held_out_loss": 2.2, "held_out_token_accuracy": 0.5},
]


def test_each_line_has_its_own_points() -> None:
    assert points(HISTORY, "loss") == ([1.0, 2.0], [2.5, 2.0])
    assert points(HISTORY, "held_out_loss") == ([2.0], [2.2])
    assert points(HISTORY, "base_loss") == ([0.0], [3.0])


def test_the_curve_is_a_png(tmp_path: Path) -> None:
    draw_curve(HISTORY, tmp_path / "curve.png", "small on tiny")

    data = (tmp_path / "curve.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    assert data.endswith(b"IEND\xaeB`\x82")


def test_a_history_without_points_still_draws(tmp_path: Path) -> None:
    draw_curve([], tmp_path / "curve.png", "nothing yet")

    assert (tmp_path / "curve.png").stat().st_size > 0


def _drawn(history: list[dict[str, JSON]], title: str = "small on tiny") -> Axes:
    return curve_figure(history, title).axes[0]


def test_a_peak_does_not_flatten_all_other_steps() -> None:
    steady: list[dict[str, JSON]] = [{"step": step, "loss": 2.0} for step in range(100)]
    axes = _drawn([*steady, {"step": 100, "loss": 1e6}])

    assert axes.get_ylim()[1] < 10.0
    assert [text.get_text() for text in axes.texts] == ["not shown: peaks up to 1e+06"]


def test_a_fall_from_a_high_start_is_shown_whole() -> None:
    falling: list[dict[str, JSON]] = [{"step": step, "loss": 10.0 - step / 20} for step in range(100)]

    assert _drawn(falling).get_ylim()[1] > 10.0
    assert not _drawn([{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 3.0}]).texts


def test_a_single_step_is_seen_and_a_long_title_has_lines() -> None:
    axes = _drawn([{"step": 1, "loss": 2.0}], "name " * 60)

    assert axes.get_lines()[0].get_marker() == "."
    assert all(len(line) <= 90 for line in axes.get_title().split("\n"))
