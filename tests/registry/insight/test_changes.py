"""In what two versions differ, as their manifests tell."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from parfocal.registry import Evaluation, FolderRegistry, Provenance, Publication
from parfocal.registry.insight import Change, changes_between


def test_what_differs_is_told_part_by_part(
    registry: FolderRegistry, adapter: Callable[..., Path], publication: Publication
) -> None:
    assert publication.base is not None
    first = replace(
        publication,
        provenance=Provenance(
            "sha256:a", {"rank": 4, "schedule": {"kind": "wsd", "warmup": 3}, "rows": [1, 2]}, 1
        ),
        evaluation=Evaluation("sha256:rows", 5, {"f1": 0.5, "loss": 1.0}),
        tags=("de", "mail"),
    )
    second = replace(
        first,
        base=replace(publication.base, id="mirror/small-base", tokenizer_digest=f"sha256:{'2' * 64}"),
        provenance=Provenance("sha256:b", {"rank": 4, "schedule": {"kind": "linear", "warmup": 3}}, 1),
        evaluation=Evaluation("sha256:rows", 5, {"f1": 0.75, "loss": 1.0, "em": 1.0}),
        tags=("de",),
    )
    old = registry.publish("x", adapter(), first).manifest
    new = registry.publish("x", adapter(rank=8, modules=("q_proj", "k_proj")), second).manifest
    found = changes_between(old, new)
    assert [each.field for each in found.base] == ["base.tokenizer_digest"]
    assert Change("base.id", "small-base", "mirror/small-base") in found.contract
    assert len(found.modules.removed) == len(found.modules.added) == len(found.modules.changed) == 2
    assert found.modules.same == 0
    assert {(a.rank, b.rank) for a, b in found.modules.changed} == {(4, 8)}
    assert found.data == (Change("data_digest", "sha256:a", "sha256:b"),)
    assert found.hyper_parameters == (
        Change("rows", (1, 2), None)
        if isinstance(found.hyper_parameters[0].before, tuple)
        else Change("rows", [1, 2], None),
        Change("schedule.kind", "wsd", "linear"),
    )
    assert found.same_hyper_parameters == 2
    assert found.metrics == (Change("em", None, 1.0), Change("f1", 0.5, 0.75))
    assert found.same_metrics == 1 and found.evaluation == ()
    assert [each.field for each in found.files] == ["adapter_config.json", "adapter_model.safetensors"]
    assert found.tags == (Change("mail", True, None),)


def test_a_version_does_not_differ_from_itself(
    registry: FolderRegistry, adapter: Callable[..., Path], publication: Publication
) -> None:
    manifest = registry.publish("x", adapter(), publication).manifest
    found = changes_between(manifest, manifest)
    assert not any(
        (found.base, found.contract, found.data, found.hyper_parameters, found.metrics, found.files)
    )
    assert not (found.modules.removed or found.modules.added or found.modules.changed)
    assert found.modules.same == len(manifest.contract.targets)
