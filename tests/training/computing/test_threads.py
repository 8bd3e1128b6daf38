"""The number of CPU threads is found by trying, and found again when the machine's other work changes."""

from collections.abc import Callable, Sequence

import pytest
import torch

from parfocal.training.computing import ThreadCount, thread_counts

Seconds = Callable[[int], float]


class Machine:
    """A clock and a number of threads; a piece of work takes what `seconds` says for that number."""

    def __init__(self, seconds: Seconds) -> None:
        self.seconds = seconds
        self.threads = 0
        self.used: list[int] = []
        self._now = 0.0

    def apply(self, threads: int) -> None:
        self.threads = threads

    def clock(self) -> float:
        return self._now

    def work(self, count: ThreadCount, pieces: int) -> list[int]:
        for _ in range(pieces):
            with count.piece(100):
                self.used.append(self.threads)
                self._now += self.seconds(self.threads)
        return self.used[-pieces:]


def rig(seconds: Seconds, counts: Sequence[int] = (2, 1)) -> tuple[Machine, ThreadCount]:
    machine = Machine(seconds)
    return machine, ThreadCount(counts, machine.apply, machine.clock)


def quiet(threads: int) -> float:
    return 1 / threads


def busy(threads: int) -> float:
    return float(threads**2)


def test_a_quiet_machine_keeps_all_threads_and_tries_rarely() -> None:
    machine, count = rig(quiet)
    used = machine.work(count, 400)
    assert count.count == 2
    assert used.count(1) <= 12


def test_beside_other_work_one_thread_is_found_within_a_few_pieces() -> None:
    machine, count = rig(busy)
    used = machine.work(count, 40)
    assert set(used[8:]) == {1}


def test_a_trial_that_was_dear_is_not_repeated_soon() -> None:
    machine, count = rig(lambda threads: 10.0 if threads == 2 else 1.0)
    assert machine.work(count, 160)[10:].count(2) <= 1


def test_it_goes_back_to_all_threads_when_the_other_work_has_ended() -> None:
    machine, count = rig(busy)
    machine.work(count, 30)
    machine.seconds = quiet
    assert machine.work(count, 400)[-1] == 2


def test_a_sudden_change_of_speed_brings_the_next_trial_forward() -> None:
    machine, count = rig(quiet)
    machine.work(count, 60)
    machine.seconds = busy
    assert set(machine.work(count, 40)[20:]) == {1}


@pytest.mark.parametrize("best", [16, 4, 1])
def test_on_many_cores_the_best_count_is_reached_step_by_step(best: int) -> None:
    machine, count = rig(lambda threads: 1 + abs(threads - best), (16, 8, 4, 2, 1))
    machine.work(count, 300)
    assert count.count == best


def test_differences_below_the_noise_change_nothing() -> None:
    machine, count = rig(lambda threads: 1.0 + 0.02 * threads)
    machine.work(count, 100)
    assert count.count == 2


def test_between_two_pieces_the_number_is_always_the_same() -> None:
    machine, count = rig(quiet)
    for _ in range(30):
        machine.work(count, 1)
        assert machine.threads == 1


def test_a_lone_count_is_never_left() -> None:
    machine, count = rig(busy, (6,))
    assert set(machine.work(count, 50)) == {6}


@pytest.mark.parametrize(
    ("device", "dtype", "most", "counts"),
    [
        ("cpu", torch.bfloat16, 6, (6, 3, 1)),
        ("cpu", torch.float32, 6, (4, 2, 1)),
        ("cpu", torch.float32, 1, (1,)),
        ("cuda", torch.bfloat16, 6, (6,)),
    ],
)
def test_only_counts_that_give_the_same_bits_are_tried(
    device: str, dtype: torch.dtype, most: int, counts: tuple[int, ...]
) -> None:
    assert thread_counts(torch.device(device), dtype, most) == counts
