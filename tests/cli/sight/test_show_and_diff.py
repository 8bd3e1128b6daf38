"""parfocal show and parfocal diff: pages for people, documents for machines, and what is not there."""

import json
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from fakes.command_results import Run
from fakes.command_results import json_of as _json
from fakes.command_results import refusal_of as _refusal
from fakes.registry.peft_folders import Adapter, write_adapter
from fakes.registry.registry_server import serving
from fakes.terminal import on_a_terminal
from parfocal.cli.sight.norms import bar
from parfocal.registry import (
    Evaluation,
    FolderRegistry,
    Gate,
    Provenance,
    Publication,
    Version,
    describe_base,
    locate_base,
)
from parfocal.registry.cards import card
from parfocal.registry.gates import Bound, Override, Side
from parfocal.registry.values import JSON

METRICS = {
    "adapter_loss": 0.4,
    "base_loss": 0.9,
    "adapter_loss/de": 0.5,
    "base_loss/de": 1.0,
    "f1": 0.8,
    "f1_low": 0.7,
    "f1_high": 0.9,
}
Publish = Callable[..., Version]


@pytest.fixture
def shelf(registry: Path) -> FolderRegistry:
    return FolderRegistry(registry)


@pytest.fixture
def publish(shelf: FolderRegistry, small_base: Path, tmp_path: Path) -> Publish:
    """Returns a function that publishes an adapter with an origin and an evaluation."""
    base = describe_base(locate_base(str(small_base), weights=False))
    count = iter(range(1, 100))

    def made(
        name: str, parent: str | None = None, metrics: Mapping[str, float] = METRICS, **fields: object
    ) -> Version:
        fill = next(count)
        folder = write_adapter(tmp_path / f"made-{fill}", Adapter(**{"fill": fill, **fields}))  # type: ignore[arg-type]
        origin = Provenance("sha256:data", {"steps": fill, "schedule": "wsd"}, 7, {"trl": "1"}, parent)
        scored = Evaluation("sha256:rows", 30, metrics)
        publication = Publication(base, origin, scored, tags=("invoices", f"run:{fill}"))
        return shelf.publish(name, folder, publication)

    return made


@pytest.fixture
def family(shelf: FolderRegistry, publish: Publish) -> list[Version]:
    """Three generations of team/x, a child of the last, and an alias with a gate."""
    first = publish("team/x")
    second = publish("team/x", "team/x@1", {**METRICS, "adapter_loss": 0.45, "f1": 0.75})
    third = publish("team/x", "team/x@2")
    child = publish("team/child", "team/x@3")
    shelf.set_gate("team/x", "prod", Gate((Bound("f1", Side.AT_LEAST, 0.75),)))
    shelf.set_alias("team/x", "dev", 3, actor="ann")
    shelf.override_gate("team/x", "prod", 2, Override("because", "ben", None))
    return [first, second, third, child]


def test_a_page_tells_scores_gates_lineage_and_whence_it_is(run: Run, family: list[Version]) -> None:
    page = run("show", "team/x@3").stdout
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert lines[0] == "version team/x@3"
    assert "tags invoices, run:3" in lines
    assert any(line.startswith("size ") and "adapter_model.safetensors (" in line for line in lines)
    assert "METRIC VALUE BASE CHANGE VERSION 2 CHANGE" in lines
    assert "loss 0.4 0.9 -0.5 0.45 -0.05" in lines
    assert "f1 0.8 [0.7, 0.9] 0.75 [0.7, 0.9] +0.05" in lines
    assert "loss/de 0.5 1 -0.5 0.5 +0" in lines
    gates = [line for line in lines if line.startswith(("dev version", "prod version"))]
    assert gates[0].startswith("dev version 3 none") and gates[0].endswith("ann")
    assert gates[1].startswith("prod version 2 misses 1 of 1: f1 at least 0.75")
    begin = lines.index("Lineage")
    shown = lines[begin + 1 : begin + 6]
    assert [line.split("  ")[0].removeprefix("└ ").split()[0] for line in shown] == [
        "small-base", "team/x@1", "team/x@2", "team/x@3", "team/child@1",
    ]  # fmt: skip
    assert "schedule wsd" in lines and "steps 3" in lines
    assert "served by not known here; ask servers with --address HOST:PORT" in lines


def test_the_data_report_is_told_in_lines(run: Run, shelf: FolderRegistry, publish: Publish) -> None:
    found: dict[str, JSON] = {
        "severity": "warning",
        "code": "NEAR_DUPLICATE",
        "count": 7,
        "source": "d",
        "lines": [3, 5],
    }
    report: dict[str, JSON] = {"counts": {"rows": 80, "train_rows": 64}, "findings": [found, {"odd": 1}, 3]}
    version = publish("team/x")
    provenance = Provenance("sha256:d", {"data_report": report, "steps": 3})
    shelf.publish(
        "team/y",
        shelf.materialise(version.digest),
        Publication(version.manifest.contract.base, provenance),
    )
    lines = [" ".join(line.split()) for line in run("show", "team/y").stdout.splitlines()]

    assert "counts rows 80, train rows 64" in lines
    assert "warning NEAR_DUPLICATE: 7 rows, d lines 3, 5 …" in lines
    assert "steps 3" in lines
    assert not any("{" in line for line in lines)


def test_a_file_that_is_pushed_along_is_pulled_again(run: Run, small_base: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>good</p>")
    folder = write_adapter(tmp_path / "adapter", Adapter())
    where = ("--registry", tmp_path / "attached")
    pushed = run("push", folder, "team/x", "--base", small_base, "--attach", tmp_path / "report.html", *where)
    pulled = run("pull", "team/x", tmp_path / "copy", *where)

    assert (pushed.exit_code, pulled.exit_code) == (0, 0), pushed.output + pulled.output
    assert (tmp_path / "copy" / "report.html").read_text() == "<p>good</p>"
    refused = run("push", folder, "team/x", "--base", small_base, "--attach", folder / "x.bin", *where)
    assert "cannot be attached" in refused.output


def test_a_document_has_all_that_the_page_tells(run: Run, family: list[Version]) -> None:
    found = _json(run, "show", "team/x@3")
    assert found["manifest"]["tags"] == found["tags"] == ["invoices", "run:3"]
    assert found["size_bytes"] == family[2].manifest.size
    assert [each["alias"] for each in found["aliases"]] == ["dev"]
    gates = {each["alias"]: each["verdict"] for each in found["gates"]}
    assert gates["dev"] is None and gates["prod"]["passed"] is False
    assert found["evaluation"]["previous_version"] == 2
    (loss,) = [
        each for each in found["evaluation"]["metrics"] if (each["metric"], each["slice"]) == ("loss", None)
    ]
    assert (loss["value"]["value"], loss["base"]["value"], loss["previous"]["value"]) == (0.4, 0.9, 0.45)
    assert [each["written"] for each in found["lineage"]["ancestors"]] == ["team/x@2", "team/x@1"]
    assert [each["name"] for each in found["lineage"]["children"]] == ["team/child"]
    assert len(found["alias_history"]) == 2


def test_a_version_measured_on_other_rows_is_not_compared(
    run: Run, shelf: FolderRegistry, family: list[Version], tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "other-rows", Adapter(fill=50))
    base = family[0].manifest.contract.base
    shelf.publish("team/x", folder, Publication(base, evaluation=Evaluation("sha256:other", 3, METRICS)))
    page = run("show", "team/x@4").stdout
    assert "Version 3 was measured on other rows" in page
    assert "VERSION 3" not in page


def test_a_narrow_terminal_gets_lines_that_fit(family: list[Version], registry: Path) -> None:
    code, shown = on_a_terminal("show", "team/x@3", "--registry", str(registry))
    assert code == 0
    plain = [line.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip() for line in shown.splitlines()]
    assert max(map(len, plain)) <= 60
    assert "0.4; base 0.9 (-0.5); version 2 0.45 (-0.05)" in " ".join(shown.split())


def test_long_things_are_cut_with_a_count_and_a_document_is_whole(
    run: Run, shelf: FolderRegistry, publish: Publish
) -> None:
    many = {f"metric-{at:03}": float(at) for at in range(60)}
    root = publish("team/x", None, many)
    for at in range(14):
        publish("team/x", f"team/x@{at + 1}", many)
    for _ in range(22):
        publish("team/child", "team/x@15", many)
    for at in range(24):
        shelf.set_alias("team/x", f"a{at}", 15)
    page = run("show", "team/x@15").stdout
    assert "… and 36 more of 60 metrics: --json has them all" in page
    assert "… 3 generations between" in page
    assert "… and more than these 20: parfocal ls --parent team/x@15" in page
    assert "… and 4 more of 24 aliases" in page
    assert "the 10 newest of 24" in page and "parfocal log team/x shows them all" in page
    found = _json(run, "show", "team/x@15")
    assert len(found["evaluation"]["metrics"]) == 60
    assert len(found["lineage"]["ancestors"]) == 14 and len(found["lineage"]["children"]) == 22
    assert found["lineage"]["ancestors"][-1]["version"]["digest"] == root.digest
    assert len(found["gates"]) == len(found["alias_history"]) == 24


def test_parents_that_are_gone_and_circles_are_told(run: Run, publish: Publish) -> None:
    publish("team/lost", "team/gone@4")
    publish("team/round", "team/round@1")
    assert "team/gone@4  (not in this registry, or deleted)" in run("show", "team/lost").stdout
    assert "a circle: team/round@1 is among its own ancestors" in run("show", "team/round").stdout


def test_a_registry_elsewhere_tells_the_same(
    run: Run, family: list[Version], registry: Path, tmp_path: Path
) -> None:
    here = _json(run, "show", "team/x@3")
    with serving(FolderRegistry(registry), tmp_path / "uploads") as address:
        there = _json(run, "show", "team/x@3", "--registry", f"grpc://{address}")
        compared = _json(run, "diff", "team/x@2", "team/x@3", "--registry", f"grpc://{address}")
    assert there == here
    assert compared == _json(run, "diff", "team/x@2", "team/x@3")


def test_a_server_that_is_away_spoils_no_page(run: Run, family: list[Version]) -> None:
    shown = run("show", "team/x@3", "--address", "127.0.0.1:1")
    assert shown.exit_code == 0
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("served by")]
    assert "127.0.0.1:1: " in line
    (found,) = _json(run, "show", "team/x@3", "--address", "127.0.0.1:1")["servers"]
    assert found["held"] is None and found["fault"]


def test_a_card_is_the_one_that_the_hub_gets(run: Run, family: list[Version]) -> None:
    written = run("show", "team/x@3", "--card").stdout
    assert written.encode() == card(family[2].manifest)
    assert ModelCard(written).data.get("tags") == ["lora", "parfocal", "invoices", "run:3"]
    assert run("show", "team/x@3", "--card", "--json").exit_code == 2


def test_a_diff_tells_what_differs_and_how_much(run: Run, family: list[Version]) -> None:
    shown = run("diff", "team/x@2", "team/x@3")
    assert shown.exit_code == 0 and shown.stderr == ""
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0].startswith("before team/x@2 sha256:") and lines[1].startswith("after team/x@3")
    assert "The same base: what serves one serves the other" in lines
    assert "4 modules, the same in both" in lines
    assert "parent team/x@1 team/x@2" in lines
    assert "steps 2 3" in lines
    assert "adapter_loss 0.45 0.4 -0.05" in lines
    assert "- run:2" in lines and "+ run:3" in lines
    begin = lines.index("LAYER OF model.layers BEFORE AFTER DIFFERENCE")
    assert [line.split()[0] for line in lines[begin + 1 : begin + 3]] == ["0", "1"]
    assert all("█" in line for line in lines[begin + 1 : begin + 3])


def test_a_diff_of_bytes_of_one_number_is_that_number(run: Run, publish: Publish, tmp_path: Path) -> None:
    """Every number of the adapters is the float32 of one repeated byte."""
    publish("team/x", fill=0x3C)
    publish("team/x", fill=0x3D)
    old, new = (struct.unpack("<f", bytes([fill]) * 4)[0] for fill in (0x3C, 0x3D))
    found = _json(run, "diff", "team/x@1", "team/x@2")["weights"]
    assert [each["layer"] for each in found["layers"]] == ["model.layers.0", "model.layers.1"]
    query = {each["module"]: each for each in found["modules"]}["model.layers.0.self_attn.q_proj"]
    # B A is 4 times the square everywhere, in 16 rows of 16, and alpha is twice the rank.
    assert query["before"] == pytest.approx(2 * 4 * old * old * 16)
    assert query["difference"] == pytest.approx(2 * 4 * (new * new - old * old) * 16)
    assert query["cosine"] == pytest.approx(1)


def test_versions_of_one_content_are_the_same(run: Run, family: list[Version]) -> None:
    shown = run("diff", "team/x@3", f"team/x@{family[2].digest}").stdout
    assert "Both are the same version" in shown
    assert "Both change every weight by the same" in shown


def test_modules_of_other_ranks_and_of_one_side_are_told(run: Run, publish: Publish) -> None:
    publish("team/x", modules=("q_proj", "v_proj"))
    publish("team/x", rank=2, modules=("q_proj", "k_proj"))
    shown = run("diff", "team/x@1", "team/x@2").stdout
    assert "only before  2: model.layers.0.self_attn.v_proj, model.layers.1.self_attn.v_proj" in shown
    assert "rank 4 → 2 (2 modules)" in shown
    modules = _json(run, "diff", "team/x@1", "team/x@2")["modules"]
    assert (modules["same"], len(modules["added"]), len(modules["changed"])) == (0, 2, 2)


def test_another_base_is_named(
    run: Run, shelf: FolderRegistry, family: list[Version], tmp_path: Path
) -> None:
    other = replace(family[0].manifest.contract.base, tokenizer_digest=f"sha256:{'5' * 64}")
    shelf.publish("team/other", write_adapter(tmp_path / "other", Adapter()), Publication(other))
    shown = run("diff", "team/x@1", "team/other@1").stdout
    assert "Another base: base.tokenizer_digest: expected" in shown
    assert _json(run, "diff", "team/x@1", "team/other@1")["same_base"] is False


def test_damaged_weights_are_named_after_what_the_manifests_tell(
    run: Run, family: list[Version], registry: Path
) -> None:
    (entry,) = [each for each in family[2].manifest.files if each.path.endswith(".safetensors")]
    digits = entry.digest.removeprefix("sha256:")
    (blob,) = [path for path in registry.rglob(f"*{digits[4:]}*") if path.is_file()]
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\x7f")
    shown = run("diff", "team/x@2", "team/x@3")
    assert shown.exit_code == 1
    assert "adapter_loss" in shown.stdout and "Traceback" not in shown.stderr
    document = run("diff", "team/x@2", "team/x@3", "--json")
    assert document.exit_code == 1
    found = json.loads(document.stdout)
    assert found["weights"] is None and digits in found["weights_missing"]
    assert run("diff", "team/x@2", "team/x@3", "--no-weights").exit_code == 0
    assert run("show", "team/x@3").exit_code == 0


@pytest.mark.parametrize(
    "words", [("show", "team/nobody"), ("diff", "team/x@1", "team/x@9"), ("diff", "No", "x")]
)
def test_what_does_not_exist_is_one_line(run: Run, family: list[Version], words: tuple[str, ...]) -> None:
    assert _refusal(run(*words))


def test_without_numpy_the_rest_is_told_and_what_to_install(family: list[Version], registry: Path) -> None:
    program = "import sys; sys.modules['numpy'] = None; from parfocal.cli.app import build_app; build_app()()"

    def asked(*flags: str) -> "subprocess.CompletedProcess[str]":
        words = [sys.executable, "-c", program, "diff", "team/x@2", "team/x@3", "--registry", str(registry)]
        return subprocess.run([*words, *flags], capture_output=True, text=True, check=False)

    told = asked()
    assert told.returncode == 0 and "adapter_loss" in told.stdout
    assert "warning: the weights are not compared: this needs numpy" in told.stderr
    refused = asked("--weights", "--json")
    assert refused.returncode == 1 and "pip install 'parfocal[serve]'" in refused.stderr


def test_a_bar_is_as_long_as_its_share() -> None:
    assert [bar(value, 2.0, 10) for value in (0.0, 1.0, 2.0)] == ["", "█████", "██████████"]
    assert bar(1.0, 0.0, 10) == ""
