"""Reports: a page that needs nothing else, Markdown and JSON, of hostile texts too, and never too large."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from parfocal.training.figures import Arm, Evaluated, Item, Measured, RowScore, Written, figures_of
from parfocal.training.metrics import Answer, metric_named
from parfocal.training.reports import report_files, write_report

HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) | `rm` \x1b[31m & \ud83d"


def evaluated(text: str = "an answer", rows: int = 20) -> Evaluated:
    items = tuple(
        Item("rows.jsonl", at + 1, f"part {at % 2}", f"{at}".encode(), f"question {at} {text}", "yes")
        for at in range(rows)
    )
    scores = tuple(RowScore((-1.0 - at / 50, -2.0), (True, False)) for at in range(rows))
    better = tuple(RowScore((-0.5 - at / 90, -0.2), (True, True)) for at in range(rows))
    prompted = tuple(Written(text, 4, 90, True) for _ in items)
    measured = (
        Measured(Arm("base"), scores, tuple(Written(text, 4, 10, False) for _ in items)),
        Measured(Arm("team/x@1", "team/x@1"), better, tuple(Written("yes", 2, 10, True) for _ in items)),
        Measured(Arm("base + prompt", prompted=True), better, prompted),
    )
    metric = metric_named("exact")
    scored = [
        metric.scores([Answer(i.prompt, w.text, i.true) for i, w in zip(items, one.written, strict=True)])
        for one in measured
    ]
    return Evaluated(
        "tiny",
        "rows.jsonl",
        "sha256:1",
        items,
        measured,
        figures_of(items, measured, [scored]),
        "exact_match",
        tuple(tuple(one.means["exact_match"]) for one in scored),
        neighbours={0: f"line 3, 80% alike: {text}"},
        notes=(text,),
    )


class Tags(HTMLParser):
    """Gathers every tag with its attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [name for name, _ in attrs if name in ("src", "href", "style") or name[:2] == "on"]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_figures_plots_and_answers_side_by_side() -> None:
    files = report_files(evaluated())
    page = Tags()
    page.feed(files["report.html"].decode())

    assert page.tags.count("svg") >= 3
    for said in (
        "team/x@1",
        "better",
        "exact match",
        "part 1",
        "Nearest training row",
        "did not stop",
        "question 7",
    ):
        assert said in page.text, said


def test_a_page_loads_nothing_and_runs_nothing_whatever_texts_hold() -> None:
    page = Tags()
    page.feed(report_files(evaluated(HOSTILE))["report.html"].decode())

    assert "script" not in page.tags
    assert page.addresses == []
    assert "alert(1)" in page.text


def test_texts_cannot_become_markdown() -> None:
    text = report_files(evaluated(HOSTILE))["report.md"].decode()

    assert "<script>" not in text and "[x](" not in text
    table = text.partition("## By slice")[0].splitlines()
    cells = {line.count("|") for line in table if line.startswith("| ")}
    assert len(cells) == 1


def test_the_document_holds_every_figure_with_its_interval() -> None:
    found = json.loads(report_files(evaluated())["report.json"])
    loss = next(each for each in found["figures"] if each["name"] == "loss" and not each["slice"])

    assert [arm["title"] for arm in found["arms"]] == ["base", "team/x@1", "base + prompt"]
    assert found["arms"][2]["prompt_tokens"] == 20 * 90
    assert loss["improvements"][1]["verdict"] == "better"
    assert loss["values"][1]["low"] < loss["values"][1]["value"] < loss["values"][1]["high"]
    assert found["samples"][0]["answers"][1] == {"text": "yes", "stopped": True, "tokens": 2, "score": 1.0}


def test_the_same_evaluation_gives_the_same_bytes() -> None:
    assert report_files(evaluated(HOSTILE)) == report_files(evaluated(HOSTILE))


def test_long_texts_and_many_rows_make_no_large_report() -> None:
    files = report_files(evaluated("long " * 10_000, rows=300))

    assert max(map(len, files.values())) < 2 << 20


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    page = write_report(evaluated(HOSTILE), tmp_path / "report")

    assert page == tmp_path / "report" / "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "report.json", "report.md"]


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_reports_say_what_they_are_of(name: str) -> None:
    assert re.search(r"20 held-out rows of rows\.jsonl", report_files(evaluated())[name].decode())
