"""Memory that is given back leaves the numbers in use alone."""

from parfocal.training.computing import give_back_memory


def test_what_is_in_use_stays() -> None:
    kept = [bytes([n]) * 1000 for n in range(100)]
    give_back_memory()

    assert all(part == bytes([n]) * 1000 for n, part in enumerate(kept))
