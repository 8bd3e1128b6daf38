"""export and import: what they print, what they refuse, and that what they write is whole or not there."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.command_results import Run
from fakes.command_results import json_of as _json
from fakes.command_results import refusal_of as _refusal
from fakes.registry.image_layouts import WEIGHT, WEIGHT_CONFIG, Layer, Layout, write_layout

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def layout(run: Run, published: Path, tmp_path: Path) -> Path:
    """An image of team/invoices@1."""
    assert run("export", "team/invoices@prod", "--oci", tmp_path / "layout").exit_code == 0
    return tmp_path / "layout"


def test_export_says_where_the_image_is_and_what_its_digest_is(
    run: Run, published: Path, tmp_path: Path
) -> None:
    target = tmp_path / "deep" / "layout"

    result = run("export", "team/invoices@1", "--oci", target)

    (image,) = json.loads((target / "index.json").read_text())["manifests"]
    assert result.stdout == f"team/invoices@1 is in {target}: image {image['digest']}\n"


def test_export_as_json_names_the_version_and_the_form(run: Run, published: Path, tmp_path: Path) -> None:
    told = _json(run, "export", "team/invoices@prod", "--oci", tmp_path / "layout")

    assert (told["name"], told["version"], told["form"]) == ("team/invoices", 1, "oci")
    assert told["target"] == str(tmp_path / "layout")
    assert told["image"].startswith("sha256:")
    assert told["warnings"] == []


def test_import_gives_the_same_version_under_the_name_that_it_had(
    run: Run, layout: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"

    told = _json(run, "import", "--oci", layout, "--registry", elsewhere)

    before = _json(run, "show", "team/invoices@1")
    assert (told["name"], told["version"], told["is_new"]) == ("team/invoices", 1, True)
    assert told["digest"] == before["digest"]
    assert told["manifest"] == before["manifest"]


def test_import_takes_another_name_and_notices_what_is_there_already(run: Run, layout: Path) -> None:
    first, again = (run("import", "team/copy", "--oci", layout, "--tag", "1") for _ in range(2))

    assert first.stdout.startswith("team/copy@1  sha256:")
    assert "nothing new" in again.stdout
    assert (first.stderr, again.stderr) == ("", "")


def test_signatures_go_out_with_an_image_and_come_back(
    run: Run, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARFOCAL_TRUSTED_KEYS", raising=False)
    run("trust", "new-key", tmp_path / "ann")
    assert run("sign", "team/invoices@1", "--key", tmp_path / "ann").exit_code == 0
    elsewhere = tmp_path / "elsewhere"

    out = run("export", "team/invoices@1", "--oci", tmp_path / "layout")
    told = _json(run, "import", "--oci", tmp_path / "layout", "--registry", elsewhere)
    verified = run("verify", "team/invoices", "--keys", tmp_path / "ann.pub", "--registry", elsewhere)

    assert out.stdout.endswith(", with 1 signature\n")
    assert told["signatures"] == 1
    assert verified.exit_code == 0, verified.output


def test_signatures_of_a_version_that_becomes_another_are_left_out_and_told(
    run: Run, published: Path, tmp_path: Path
) -> None:
    run("trust", "new-key", tmp_path / "ann")
    assert run("sign", "team/invoices@1", "--key", tmp_path / "ann").exit_code == 0
    assert run("export", "team/invoices@1", "--oci", tmp_path / "layout").exit_code == 0
    (tmp_path / "small-base").rename(tmp_path / "other-base")
    base = ("--base", tmp_path / "other-base")

    other = run("import", "team/x", "--oci", tmp_path / "layout", *base)
    files = run("import", "team/y", "--oci", tmp_path / "layout", *base, "--files-only")

    assert "left out: 1 signature of sha256:" in other.stderr
    assert files.exit_code == 0
    assert "left out" not in files.stderr


def foreign(folder: Path, adapter: Path) -> Path:
    """An image of an adapter that another tool made."""
    kinds = {CONFIG: WEIGHT_CONFIG, WEIGHTS: WEIGHT}
    layers = [Layer(f"{kind}.raw", (adapter / name).read_bytes(), name) for name, kind in kinds.items()]
    return write_layout(folder, Layout(layers))


def test_import_of_another_tools_image_is_like_a_push(
    run: Run, small_base: Path, adapter_folder: Callable[[int], Path], registry: Path, tmp_path: Path
) -> None:
    image = foreign(tmp_path / "image", adapter_folder(1))

    told = _json(run, "import", "team/x", "--oci", image, "--base", small_base)

    pushed = _json(run, "push", adapter_folder(1), "team/x", "--base", small_base)
    assert (told["digest"], pushed["is_new"]) == (pushed["digest"], False)


def test_import_of_another_tools_image_wants_a_name_and_a_base(
    run: Run, adapter_folder: Callable[[int], Path], registry: Path, tmp_path: Path
) -> None:
    image = foreign(tmp_path / "image", adapter_folder(1))

    nameless = run("import", "--oci", image)
    assert nameless.exit_code == 2
    assert "give a name" in nameless.stderr
    assert "--unverified-base" in _refusal(run("import", "team/x", "--oci", image))
    assert _json(run, "import", "team/x", "--oci", image, "--unverified-base")["version"] == 1


def test_import_for_another_base_says_that_it_is_another_version(
    run: Run, layout: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other-base"
    (tmp_path / "small-base").rename(other)

    result = run("import", "team/rebased", "--oci", layout, "--base", other)

    assert result.exit_code == 0, result.output
    assert "warning: it was sha256:" in result.stderr


def test_a_damaged_image_publishes_nothing(run: Run, layout: Path, tmp_path: Path) -> None:
    manifest = _json(run, "show", "team/invoices@1")["manifest"]
    digest = next(entry["digest"] for entry in manifest["files"] if entry["path"] == WEIGHTS)
    blob = layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
    blob.write_bytes(bytes(blob.stat().st_size))
    elsewhere = tmp_path / "elsewhere"

    assert digest in _refusal(run("import", "--oci", layout, "--registry", elsewhere))
    assert _json(run, "ls", "--registry", elsewhere)["adapters"] == []


@pytest.mark.parametrize("form", ["--oci", "--merged", "--gguf-lora"])
def test_export_never_writes_over_something(run: Run, published: Path, tmp_path: Path, form: str) -> None:
    target = tmp_path / "mine"
    target.write_text("mine")

    assert f"{target}: it is there already" in _refusal(run("export", "team/invoices", form, target))
    assert target.read_text() == "mine"


def test_an_export_that_fails_leaves_nothing(run: Run, published: Path, tmp_path: Path) -> None:
    blobs = [path for path in published.rglob("*") if path.is_file() and path.stat().st_size > 1000]
    for path in blobs:
        if hashlib.sha256(path.read_bytes()).hexdigest() == path.name:
            path.chmod(0o600)
            path.write_bytes(bytes(path.stat().st_size))
    place = tmp_path / "place"
    place.mkdir()

    assert run("export", "team/invoices@1", "--oci", place / "layout").exit_code == 1
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("forms", [(), ("--oci", "a", "--merged", "b")])
def test_export_wants_one_form(run: Run, published: Path, forms: tuple[str, ...]) -> None:
    result = run("export", "team/invoices", *forms)

    assert result.exit_code == 2
    assert "--gguf-lora FILE" in " ".join(result.stderr.split())


def test_import_wants_something_to_take(run: Run, registry: Path) -> None:
    assert run("import", "team/x").exit_code == 2


@pytest.mark.parametrize("repo", ["name", "org/name@main", "./org/name"])
def test_export_to_what_is_no_repository_is_a_usage_error(run: Run, published: Path, repo: str) -> None:
    assert run("export", "team/invoices", "--hub", repo).exit_code == 2


def test_merging_into_a_base_that_cannot_be_seen_says_what_to_do(
    run: Run, published: Path, tmp_path: Path
) -> None:
    assert "--base" in _refusal(run("export", "team/invoices", "--merged", tmp_path / "merged"))
    assert not (tmp_path / "merged").exists()


def test_merging_into_another_base_is_refused_with_what_differs(
    run: Run, published: Path, tmp_path: Path
) -> None:
    result = run("export", "team/invoices", "--merged", tmp_path / "merged", "--base", "tiny")

    assert "made for another base than tiny: base." in _refusal(result)


def test_push_of_a_name_that_is_neither_folder_nor_repository_says_both(run: Run, registry: Path) -> None:
    refusal = _refusal(run("push", "org/no-such-adapter", "team/x", "--base", "tiny"))

    assert "there is no folder org/no-such-adapter here, and hf://org/no-such-adapter" in refusal
