"""What people see of a run: a bar on a terminal, few lines elsewhere."""

import io

from rich.console import Console

from parfocal.training import BarWatcher, PlainWatcher, Scored, StepDone


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


def screen_of(height: int) -> str:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, height=height)
    with BarWatcher(console) as watcher:
        watcher.scored(Scored(0, 10, "validation", 2.0, {"token_accuracy": 0.1}, is_base=True))
        watcher.step(done(3, 10))
        watcher.scored(Scored(3, 10, "validation", 1.0, {"token_accuracy": 0.4}, is_best=True))
    return screen.getvalue()


def test_the_losses_are_drawn_above_the_bar() -> None:
    text = screen_of(40)

    assert "●" in text and "╌" in text
    assert text.rindex("3/10") > text.rindex("●")


def test_a_small_terminal_keeps_its_room_for_messages() -> None:
    assert "●" not in screen_of(12)
