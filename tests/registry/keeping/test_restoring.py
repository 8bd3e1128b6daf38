"""Whatever is left of a history makes a whole from which an index can be restored."""

import random
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.registry.memory_index import MemoryIndex
from parfocal.registry import BaseContract, Contract, Manifest, RegistryError
from parfocal.registry.index import Index, Terms
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.keeping.restoring import mend
from parfocal.registry.values import SCHEMA, Event, EventKind, Standing, digest_of

CONTRACT = Contract(BaseContract.unverified("x"), (), False)
CONTENTS = [Manifest(SCHEMA, (), CONTRACT, None, None, (f"content {number}",)) for number in range(6)]
BUNDLES = [f"signature {number}".encode() for number in range(3)]
MANIFESTS = {digest_of(data): data for data in (*(each.to_bytes() for each in CONTENTS), *BUNDLES)}


def history(seed: int) -> list[Event]:
    """What happens to an index that is asked for this and that, much of which it refuses."""
    choose, index = random.Random(seed), MemoryIndex()
    for _ in range(60):
        name, alias, number = choose.choice("ab"), choose.choice(("prod", "beta")), choose.randint(1, 8)
        with suppress(RegistryError):
            match choose.randrange(9):
                case 0:
                    index.delete_version(name, number, "ann")
                case 1:
                    index.delete_alias(name, alias, None, "ben")
                case 2:
                    pointing = {found.alias: found.version for found in index.aliases(name)}
                    index.roll_back_alias(
                        name, alias, "", through(index, name, alias, pointing.get(alias, 0))
                    )
                case 3:
                    index.delete_adapter(name, choose.random() < 0.5, "")
                case 4 | 5:
                    index.set_alias(name, alias, number, "", through(index, name, alias))
                case 6 if choose.random() < 0.3:
                    index.clear_gate(name, alias, "cy")
                case 6:
                    index.set_gate(name, alias, f'{{"rules":[{number}]}}', "cy")
                case 7:
                    index.add_signature(name, number, choose.choice(BUNDLES), "")
                case _:
                    index.add_version(name, choose.choice(CONTENTS).to_bytes())
    return index.events(0, 1000)


def through(index: Index, name: str, alias: str, expected: int | None = None) -> Terms:
    """What somebody says who has asked the gate, if there is one."""
    gate = index.gate(name, alias)
    return Terms(expected) if gate is None else Terms(expected, gate.sequence, found='{"outcome":"passed"}')


def seen(index: Index) -> tuple[object, ...]:
    """All that an index answers."""
    names = [summary.name for summary in index.adapters(10, "").items]
    return (
        index.adapters(10, ""),
        [index.versions(name, 100, "") for name in names],
        [index.aliases(name) for name in names],
        [index.moves(name, "", 1000, "") for name in names],
        [index.gate(name, alias) for name in names for alias in ("prod", "beta")],
        sorted(index.signature_bundles()),
        index.events(0, 10_000),
    )


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_every_index_that_is_restored_from_a_whole_history_answers_alike(seed: int) -> None:
    told = history(seed)
    mended = mend(told, MANIFESTS)
    assert (list(mended.events), mended.lost, mended.is_changed) == (told, (), False)
    memory = MemoryIndex()
    memory.restore(told, MANIFESTS)
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteIndex(Path(folder) / "index.sqlite", lambda: None)
        sqlite.restore(told, MANIFESTS)
        assert seen(sqlite) == seen(memory)
        sqlite.close()


@given(seed=st.integers(0, 10_000), lost=st.sets(st.integers(0, 60)), gone=st.sets(st.integers(0, 5)))
@settings(max_examples=40, deadline=None)
def test_what_is_left_of_a_history_can_be_restored_and_names_what_is_not(
    seed: int, lost: set[int], gone: set[int]
) -> None:
    left = [event for event in history(seed) if event.sequence not in lost]
    manifests = {m.digest: m.to_bytes() for number, m in enumerate(CONTENTS) if number not in gone}
    mended = mend(left, manifests)
    assert [event.sequence for event in mended.events] == list(range(1, len(mended.events) + 1))
    standing = Standing.after(mended.events)
    # Whatever was live after what is left, and whose content is there, is live; the rest is named.
    before = Standing.after(left)
    assert {key for key, digest in standing.versions.items() if digest not in manifests} == set()
    missing = before.versions.keys() - standing.versions.keys()
    # Content that came again under another number had been deleted before, and a deleted adapter's too.
    twice = {
        (name, number)
        for (name, number), digest in before.versions.items()
        if any(e.name == name and e.digest == digest and e.version not in (0, number) for e in left)
        or any(e.name == name and e.kind is EventKind.ADAPTER_DELETED for e in left)
    }
    assert {f"{name}@{number}" for name, number in missing - twice} <= set(mended.lost)
    assert standing.gates.items() <= before.gates.items()
    assert all((name, number) in standing.versions for (name, _), number in standing.aliases.items())
    with tempfile.TemporaryDirectory() as folder:
        index = SqliteIndex(Path(folder) / "index.sqlite", lambda: None)
        index.restore(mended.events, manifests)
        assert index.check() == []
        assert index.events(0, 10_000) == list(mended.events)
        signed = {digest for digests in standing.signatures.values() for digest in digests}
        assert {digest for digest, _ in index.signature_bundles()} == signed
        for name in {name for name, _ in standing.versions}:
            numbers = [version.version for version in index.versions(name, 100, "").items]
            assert numbers == sorted((n for owner, n in standing.versions if owner == name), reverse=True)
        index.close()
