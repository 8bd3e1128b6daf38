"""What people see of a run: a bar on a terminal, few lines elsewhere."""

import io

from rich.console import Console

from parfocal.training import BarWatcher, PlainWatcher, StepDone


def done(step: int, steps: int) -> StepDone:
    return StepDone(step, steps, 1.25, 3456.7, 12.0)


def test_plain_lines_come_at_every_tenth_part_of_the_way() -> None:
    lines: list[str] = []
    watcher = PlainWatcher(lines.append)
    watcher.say("hello")
    for step in range(2, 401, 2):
        watcher.step(done(step, 400))

    assert len(lines) == 11
    assert lines[0] == "hello"
    assert lines[1] == "step 40/400  loss 1.250  3457 tokens/s  12 s left"
    assert lines[-1].startswith("step 400/400")


def test_a_run_of_few_steps_has_a_line_for_each() -> None:
    lines: list[str] = []
    watcher = PlainWatcher(lines.append)
    for step in range(1, 4):
        watcher.step(done(step, 3))

    assert len(lines) == 3


def test_the_bar_shows_steps_and_figures_and_lines_stay_above_it() -> None:
    screen = io.StringIO()
    with BarWatcher(Console(file=screen, force_terminal=True, width=120)) as watcher:
        watcher.say("[not markup] hello")
        watcher.step(done(3, 10))
    text = screen.getvalue()

    assert "[not markup] hello" in text
    assert "3/10" in text
    assert "loss 1.250" in text
