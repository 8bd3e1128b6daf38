"""What only a checkout has: found beside the sources, and missed in one line where there are none."""

from pathlib import Path

import pytest

from parfocal.bench.checkout import additions, additions_for
from parfocal.bench.errors import CheckoutMissing


def test_a_checkout_adds_rivals_and_pictures() -> None:
    found = additions_for("--plot")

    (endpoint,) = found.endpoints(["peer=http://127.0.0.1:8080"], [], [], [])
    assert (endpoint.name, endpoint.url) == ("peer", "http://127.0.0.1:8080/v1/completions")
    assert callable(found.peft().speeds)


def test_a_package_without_its_checkout_has_none(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()

    assert additions(tmp_path) is None


@pytest.mark.parametrize("what", ["--plot", "--endpoint"])
def test_what_is_missing_and_where_it_is_stands_in_one_line(tmp_path: Path, what: str) -> None:
    with pytest.raises(CheckoutMissing) as refused:
        additions_for(what, tmp_path)

    assert refused.value.status == "FAILED_PRECONDITION"
    assert str(refused.value).startswith(f"{what} needs tests/bench")
    assert "\n" not in str(refused.value)
