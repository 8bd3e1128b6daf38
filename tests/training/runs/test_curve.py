"""The loss curve: a PNG of the points that the history holds."""

from pathlib import Path

from parfocal.training.runs.curve import draw_curve, points

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
