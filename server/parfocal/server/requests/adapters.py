"""From an adapter reference to the adapter's identity and files, through a registry. Knows no request.

A reference is resolved anew every time: a moved alias takes effect with the next request. So does a deletion,
also of an adapter that is on the device: requests admitted before it end as if it were there, later ones are
refused. Whether a version fits the base never changes, so that is judged once.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from parfocal.engine import AdapterFolder, AdapterKey, RankAndScale
from parfocal.engine.chats import Value
from parfocal.registry import BaseContract, Difference, Manifest, RegistryError, Version
from parfocal.registry.values import TEMPLATE_FILE, Recent, dumps
from parfocal.server.canaries import Arm, Ended, Splits
from parfocal.server.errors import ContractMismatch
from parfocal.server.requests.signed import SignatureCheck

# What was judged is remembered: a template may have a megabyte, and most adapters have none.
_JUDGED_BYTES = 64 << 20
_JUDGED_ENTRY_BYTES = 1000
_REFUSED_BYTES = 8 << 20
_REFUSED_ENTRY_BYTES = 8000

log = logging.getLogger(__name__)

_MOST_WARNINGS = 1000
_NAMES = {"chat": "chats", "raw": "raw prompts"}


@dataclass(frozen=True, slots=True)
class Manner:
    """What is known of how an adapter's rows became text; for the base, nothing.

    form: `chat` or `raw`, None if unrecorded. template: the adapter's own chat template, None for the base's.
    variables: what the template read beside the messages.
    """

    form: str | None = None
    template: str | None = None
    variables: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means now. `adapter` None is the base.

    `cautions` are for callers who send chats, `notices` for all. `arm` tells which of an alias's two versions
    it is, where the alias has a canary.
    """

    adapter: AdapterKey | None = None
    manner: Manner = field(default_factory=Manner)
    cautions: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    arm: Arm | None = None

    def warnings(self, form: str | None) -> tuple[str, ...]:
        """Warnings for the caller of a prompt in `form`: `chat` or `raw`, None for token ids."""
        cautions = (*self.notices, *(self.cautions if form == "chat" else ()))
        if self.adapter is None or None in (form, self.manner.form) or form == self.manner.form:
            return cautions
        learnt, sent = _NAMES[str(self.manner.form)], _NAMES[str(form)]
        advice = "send a chat" if self.manner.form == "chat" else "send a prompt"
        name = shown(self.adapter)
        return (*cautions, f"adapter {name} was trained on {learnt}, and does worse on {sent}; {advice}")


def shown(adapter: AdapterKey) -> str:
    """The adapter as people call it: name and version; of a blend, its parts with their weights."""
    return f"{adapter.name}@{adapter.version}" if adapter.version else adapter.name


class Versions(Protocol):
    """The part of a registry that serving uses. Calls may block and come from several threads."""

    def resolve(self, reference: str) -> Version:
        """Returns the version that `reference` means now."""

    def materialise(self, digest: str) -> Path:
        """Returns a local folder with the version's files, every byte verified just now."""

    def manifest(self, digest: str) -> Manifest:
        """Returns the manifest of a version."""


class RegistryAdapterSource:
    """Gives the engine an adapter's folder and what its manifest says of the weights in it."""

    def __init__(self, registry: Versions) -> None:
        self._registry = registry

    def folder(self, adapter: AdapterKey) -> AdapterFolder:
        """Returns the adapter's local folder, verified. Blocks; raises the registry's errors."""
        path = self._registry.materialise(adapter.digest)
        contract = self._registry.manifest(adapter.digest).contract
        return AdapterFolder(
            path,
            {
                target.path: RankAndScale(target.rank, target.scale(contract.use_rslora))
                for target in contract.targets
            },
        )


class AdapterResolver:
    """Resolves references for one resident base, and refuses adapters that were made for another.

    Each version is held to `signed`, if there is such a check, every time. `splits` say which of an alias's
    two versions a request gets; without them it is always the one that the alias points at.
    """

    def __init__(
        self,
        registry: Versions,
        base: BaseContract,
        threads: int,
        signed: SignatureCheck | None = None,
        splits: Splits | None = None,
    ) -> None:
        self._registry = registry
        self._splits = splits
        self._base = base
        self._signed = signed
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="parfocal-resolve")
        self._judged: Recent[tuple[str, int, str], Resolved] = Recent(_JUDGED_BYTES)
        self._refused: Recent[str, Sequence[Difference]] = Recent(_REFUSED_BYTES)
        self._warned: set[str] = set()

    async def resolve(self, reference: str, key: str = "") -> Resolved:
        """What `reference` means now: the base if it is empty, otherwise an adapter with its manner.

        Where an alias has a canary, requests with the same `key` get the same version; without a key it is
        the one that the alias points at. Raises ContractMismatch and the registry's errors (unknown adapter,
        version or alias; bad reference; no signature where one is required).
        """
        if not reference:
            return Resolved()
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._resolved, reference, key)

    def close(self) -> None:
        """Lets running look-ups finish and starts no others."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _resolved(self, reference: str, key: str) -> Resolved:
        version = self._registry.resolve(reference)
        if version.canary is None or self._splits is None or not key:
            return self._fitting(version)
        arm = self._splits.arm(version.canary, version.version, key)
        try:
            return replace(self._fitting(self._of(arm, version)), arm=arm)
        except (RegistryError, ContractMismatch):
            self._splits.ended(arm, Ended(failed=True))
            raise

    def _of(self, arm: Arm, version: Version) -> Version:
        """The version that an arm gives its requests to."""
        return self._registry.resolve(f"{version.name}@{arm.canary.version}") if arm.is_canary else version

    def _fitting(self, version: Version) -> Resolved:
        # First of all: nothing of what is refused is read.
        notice = "" if self._signed is None else self._signed(version)
        key = (version.name, version.version, version.digest)
        resolved = self._judged.get(key)
        if resolved is None:
            resolved = self._judge(version)
            self._judged.put(key, resolved, _size(resolved.manner))
        return replace(resolved, notices=(notice,)) if notice else resolved

    def _judge(self, version: Version) -> Resolved:
        """Holds a version against the base; raises ContractMismatch. What has a digest is judged once."""
        adapter = AdapterKey(version.digest, version.name, version.version)
        # What an adapter published without its base does not record is left for the engine to check.
        # A manifest may have megabytes, and what is refused can be asked for again at once.
        differences = self._refused.get(version.digest)
        if differences is None:
            differences = version.manifest.contract.base.differences(self._base)
        if differences:
            self._refused.put(version.digest, differences, _REFUSED_ENTRY_BYTES)
            raise _mismatch(adapter, differences)
        self._warn(adapter, version.manifest.contract.base.cautions(self._base))
        own = version.manifest.contract.chat_template_digest is not None
        return Resolved(
            adapter, _manner_of(version.manifest, self._read_template(version.digest) if own else None)
        )

    def _read_template(self, digest: str) -> str:
        return (self._registry.materialise(digest) / TEMPLATE_FILE).read_text("utf-8")

    def _warn(self, adapter: AdapterKey, cautions: Sequence[Difference]) -> None:
        """Logs once per adapter that its base goes by another name here."""
        if not cautions or adapter.digest in self._warned or len(self._warned) >= _MOST_WARNINGS:
            return
        self._warned.add(adapter.digest)
        log.warning(
            "adapter %s@%d was published for a base that computes the same but is called otherwise: %s",
            adapter.name, adapter.version, "; ".join(map(str, cautions)),
        )  # fmt: skip


def _size(manner: Manner) -> int:
    """Roughly, in bytes: text of four bytes a character, values of JSON of some tens of bytes each."""
    return _JUDGED_ENTRY_BYTES + 4 * len(manner.template or "") + 10 * len(dumps(manner.variables))


def _mismatch(adapter: AdapterKey, differences: Sequence[Difference]) -> ContractMismatch:
    first, *others = differences
    also = f" (also different: {', '.join(other.field for other in others)})" if others else ""
    return ContractMismatch(
        f"adapter {adapter.name}@{adapter.version} was made for another base: {first.field} is "
        f"{first.expected} in its contract and {first.actual} on this server{also}; train it on this base",
        adapter=adapter,
        contract_field=first.field,
        expected=first.expected,
        actual=first.actual,
    )


def _manner_of(manifest: Manifest, template: str | None) -> Manner:
    """The manner that a version records; older versions have only the form, in their provenance."""
    rendering = manifest.contract.rendering
    if rendering is not None:
        return Manner(rendering.form, template, rendering.template_variables)
    noted = manifest.provenance.hyper_parameters.get("rendering") if manifest.provenance else None
    return Manner(noted if isinstance(noted, str) and noted in _NAMES else None, template)
