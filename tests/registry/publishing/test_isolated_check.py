"""A check in a process of its own finds what one here finds, and what goes too far ends nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.registry.peft_folders import Adapter, Tensor, adapter_tensors, safetensors, write_adapter
from parfocal.registry import BaseContract, FolderRegistry, Publication
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.disk import Staging
from parfocal.registry.errors import AdapterRefused, RegistryError
from parfocal.registry.isolation import Bounds
from parfocal.registry.publishing import IsolatedCheck
from parfocal.registry.publishing.ready import ReadyFiles
from parfocal.registry.values import TEMPLATE_FILE, WEIGHTS_FILE, FileEntry, digest_of

WEIGHT = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> FolderRegistry:
    return FolderRegistry(tmp_path_factory.mktemp("isolated") / "registry", isolated=True)


def plain(folder: Path) -> None:
    write_adapter(folder)


def with_a_template(folder: Path) -> None:
    write_adapter(folder)
    (folder / TEMPLATE_FILE).write_text("{% for m in messages %}{{ m.content }}{% endfor %}", "utf-8")


def renamed(folder: Path) -> None:
    write_adapter(folder)
    tensors = {f"module.{name}": tensor for name, tensor in adapter_tensors(Adapter()).items()}
    (folder / WEIGHTS_FILE).write_bytes(safetensors(tensors))


def infinite(folder: Path) -> None:
    write_adapter(folder, Adapter(tensors={WEIGHT: Tensor((4, 16), fill=0xFF)}))


def of_another_kind(folder: Path) -> None:
    write_adapter(folder, Adapter(config={"use_dora": True}))


def broken(folder: Path) -> None:
    write_adapter(folder)
    (folder / "adapter_config.json").write_text("{")


def a_pickle(folder: Path) -> None:
    write_adapter(folder)
    (folder / WEIGHTS_FILE).write_bytes(b"\x80\x04 is a pickle")


def of_another_shape(folder: Path) -> None:
    write_adapter(folder, Adapter(tensors={WEIGHT: Tensor((4, 8))}))


@pytest.mark.parametrize("write", [plain, with_a_template, renamed])
def test_what_is_published_is_the_same_as_by_a_check_here(
    tmp_path: Path, isolated: FolderRegistry, base: BaseContract, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "adapter")
    told: list[tuple[int, int]] = []
    here = FolderRegistry(tmp_path / "here").publish("x", tmp_path / "adapter", Publication(base))
    there = isolated.publish(
        f"x-{write.__name__}",
        tmp_path / "adapter",
        Publication(base),
        lambda done, total: told.append((done, total)),
    )
    assert there.manifest == here.manifest
    assert there.digest == here.digest
    assert told[-1][0] == told[-1][1]
    copy = isolated.materialise(there.digest)
    assert sorted(path.name for path in copy.iterdir()) == sorted(file.path for file in here.manifest.files)
    assert list((isolated.path / "staging").iterdir()) == []


@pytest.mark.parametrize("write", [infinite, of_another_kind, broken, a_pickle, of_another_shape])
def test_what_is_refused_is_refused_as_by_a_check_here(
    tmp_path: Path, isolated: FolderRegistry, base: BaseContract, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "adapter")
    refusals = []
    for registry in (FolderRegistry(tmp_path / "here"), isolated):
        with pytest.raises(RegistryError) as refused:
            registry.publish("y", tmp_path / "adapter", Publication(base))
        refusals.append(refused.value)
    here, there = refusals
    assert (type(there), str(there), there.field) == (type(here), str(here), here.field)
    assert there.metadata == here.metadata
    assert list((isolated.path / "staging").iterdir()) == []


@pytest.mark.parametrize(
    "publication",
    [
        Publication(),
        Publication(shared_base="../etc"),
        Publication(shared_base="x" * 301),
        Publication(BaseContract.unverified("x" * 301), unverified_base=True),
    ],
)
def test_a_publication_is_refused_as_by_a_check_here(
    tmp_path: Path, isolated: FolderRegistry, publication: Publication
) -> None:
    write_adapter(tmp_path / "adapter")
    said = []
    for registry in (FolderRegistry(tmp_path / "here"), isolated):
        with pytest.raises(RegistryError) as refused:
            registry.publish("y", tmp_path / "adapter", publication)
        said.append((type(refused.value), str(refused.value)))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("bounds", "said"), [(Bounds(60, 1 << 20), "MiB of memory"), (Bounds(0, 1 << 30), "seconds")]
)
def test_a_check_that_takes_too_much_is_refused_and_leaves_nothing(
    tmp_path: Path, base: BaseContract, bounds: Bounds, said: str
) -> None:
    write_adapter(tmp_path / "adapter", Adapter(layers=range(1000)))
    check = IsolatedCheck(Staging(tmp_path / "staging"), bounds)
    with pytest.raises(AdapterRefused, match=said), check(tmp_path / "adapter", Publication(base)):
        pass
    check.close()
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize(("write", "is_told"), [(plain, True), (renamed, False)])
def test_a_digest_that_is_known_is_not_found_again_unless_other_bytes_are_published(
    tmp_path: Path, base: BaseContract, write: Callable[[Path], None], is_told: bool
) -> None:
    write(tmp_path / "adapter")
    size = (tmp_path / "adapter" / WEIGHTS_FILE).stat().st_size
    told = FileEntry(WEIGHTS_FILE, size, digest_of(b"who asks knows it"))
    check = IsolatedCheck(Staging(tmp_path / "staging"))
    with check(tmp_path / "adapter", Publication(base), {WEIGHTS_FILE: told}) as ready:
        assert isinstance(ready, ReadyFiles)
        assert (told in [file.entry for file in ready.files]) == is_told
    check.close()


def test_weights_that_are_changed_after_their_check_are_not_published(
    tmp_path: Path, base: BaseContract
) -> None:
    folder = write_adapter(tmp_path / "adapter")
    blobs = FolderBlobs(tmp_path)
    check = IsolatedCheck(Staging(tmp_path / "staging"))
    with check(folder, Publication(base)) as ready:
        write_adapter(folder, Adapter(fill=2))
        with pytest.raises(AdapterRefused, match="changed while it was published"):
            ready.store(blobs)
    check.close()
