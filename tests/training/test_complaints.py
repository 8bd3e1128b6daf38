"""The guide says how each complaint about trainers is met, and by which test; the tests are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
GUIDE = TESTS.parents[1] / "training" / "README.md"
_NAMED = re.compile(r"`((?:tests/)?[a-z_/]+\.py)?(?:::(test_\w+))?`")


def rows() -> list[list[str]]:
    text = GUIDE.read_text("utf-8").partition("| complaint | here | test |\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[1:]]


def test_every_complaint_names_tests_that_are_there() -> None:
    found = rows()
    assert len(found) == 20
    for complaint, here, named in found:
        assert complaint and here
        file = ""
        links = _NAMED.findall(named)
        assert links, complaint
        for path, test in links:
            file = path or file
            place = TESTS.parents[1] / file if file.startswith("tests/") else TESTS / file
            assert place.is_file(), (complaint, file)
            assert not test or f"def {test}(" in place.read_text("utf-8"), (complaint, test)
