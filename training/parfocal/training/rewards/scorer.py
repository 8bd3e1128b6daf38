"""A published adapter as a reward: what `--method reward` made scores answers on the engine that serves.

The score of an answer is by how much the logit of `1` is above that of `0` after the token that ends it.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.engine import AdapterKey
from parfocal.registry import BaseContract, Registry, Version
from parfocal.training.data import MASKED, BaseEncoder, RenderFault, Turn, render
from parfocal.training.errors import BaseUnfit, InvalidConfig, RewardFailed
from parfocal.training.rewards.attempts import Attempt

if TYPE_CHECKING:
    from parfocal.training.evaluation import ServedBase

PREFIX = "adapter:"
_EXACT = re.compile(r"adapter:[^@]+@([0-9]+|sha256:[0-9a-f]{64})")
_GOOD, _BAD = "1", "0"
# What an engine's batches leave open of a score must not change what is learnt.
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Bench:
    """Where adapters score: the base that is trained on, its device, and the registry that has them."""

    base: Path
    contract: BaseContract
    device: str
    registry: Registry | None


def reward_version(text: str, contract: BaseContract, registry: Registry | None) -> Version:
    """The version that `adapter:NAME@VERSION` means.

    Raises:
        InvalidConfig: there is no registry, it was not made by `--method reward`, or for another base.
        RegistryError: it does not exist, or the registry does not answer.
    """
    if not _EXACT.fullmatch(text):
        raise InvalidConfig(
            f"reward {text[:200]!a} names no version; write adapter:team/judge@3, so that the run stays what "
            "it is if an alias moves",
            field="rewards",
        )
    if registry is None:
        raise InvalidConfig(
            f"reward {text} needs a registry to be found in; name one with --registry", field="rewards"
        )
    version = registry.resolve(text.removeprefix(PREFIX))
    provenance = version.manifest.provenance
    method = provenance.hyper_parameters.get("method") if provenance is not None else None
    if method != "reward":
        made = f"was made by method {method}" if method else "does not say by which method it was made"
        raise InvalidConfig(
            f"{version} scores no answers: it {made}; name a version of parfocal train --method reward",
            field="rewards",
        )
    differences = version.manifest.contract.base.differences(contract)
    if differences:
        raise InvalidConfig(
            f"{version} was made for another base than the one that is trained on: {differences[0]}",
            field="rewards",
        )
    return version


class AdapterReward:
    """Scores answers by a version, which an engine of its own serves until `close`."""

    def __init__(self, text: str, bench: Bench) -> None:
        """Loads the base once more; raises as `reward_version`, and EngineError."""
        self.name = text
        version = reward_version(text, bench.contract, bench.registry)
        # An engine belongs to one thread, and rewards are asked in any.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parfocal-reward-adapter")
        self._open = ExitStack()
        self._judge = self._thread.submit(_Judge.of, bench, version, self._open).result()

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """A score for each attempt; raises RewardFailed where one cannot be read."""
        return self._thread.submit(self._judge.scores, self.name, attempts).result()

    def close(self) -> None:
        """Gives the engine's memory back."""
        self._thread.submit(self._open.close).result()
        self._thread.shutdown()


@dataclass(frozen=True, slots=True)
class _Judge:
    """The engine with the adapter, and how the adapter reads rows."""

    served: "ServedBase"
    key: AdapterKey
    encoder: BaseEncoder
    is_chat: bool | None
    readout: tuple[int, int]

    @classmethod
    def of(cls, bench: Bench, version: Version, scope: ExitStack) -> "_Judge":
        from parfocal.training.evaluation import ServedBase, peft_adapter

        assert bench.registry is not None  # it resolved the version
        folder = bench.registry.materialise(version.digest)
        served = scope.enter_context(
            ServedBase(bench.base, {version.digest: peft_adapter(folder)}, bench.device)
        )
        rendering = version.manifest.contract.rendering
        encoder = BaseEncoder(bench.base, rendering.template_variables if rendering else {})
        good, bad = (encoder.encode(text, special=False)[-1:] for text in (_GOOD, _BAD))
        if not good or not bad or good == bad:
            raise BaseUnfit(f"the base's tokenizer does not tell {_GOOD} and {_BAD} apart", field="base")
        is_chat = None if rendering is None else rendering.form == "chat"
        key = AdapterKey(version.digest, str(version))
        return cls(served, key, encoder, is_chat, (good[0], bad[0]))

    def scores(self, name: str, attempts: Sequence[Attempt]) -> list[float]:
        from parfocal.training.evaluation import scoring

        wholes = [self._ids(name, attempt) for attempt in attempts]
        requests = [scoring([*ids, token], self.key) for ids in wholes for token in self.readout]
        told = [reply.prompt_logprobs[-1] for reply in self.served.ask(requests)]
        values = [one.logprob for one in told if one is not None]
        return [round(good - bad, _DIGITS) for good, bad in zip(values[::2], values[1::2], strict=True)]

    def _ids(self, name: str, attempt: Attempt) -> list[int]:
        """Prompt and answer as the adapter learnt to read them, through the token that ends the answer."""
        row = attempt.row
        if row is None or (self.is_chat is False and not row.raw):
            raise RewardFailed(
                f"reward {name} was trained on plain prompts, and {attempt.place} is a chat; give prompts as "
                "text, or a reward of chats",
                field="rewards",
            )
        asked = replace(row, raw=row.raw and not self.is_chat)
        whole = replace(asked, turns=(*asked.turns, Turn("assistant", attempt.answer, learn=True)))
        try:
            sample = render(whole, self.encoder)
        except RenderFault as fault:
            raise RewardFailed(
                f"reward {name}: an answer to {attempt.place} {fault}", field="rewards"
            ) from fault
        last = max(at for at, label in enumerate(sample.labels) if label != MASKED)
        if last + 2 > self.served.context:
            raise RewardFailed(
                f"reward {name}: {attempt.place} with its answer exceeds the base's context of "
                f"{self.served.context} tokens; lower --answer-tokens",
                field="rewards",
            )
        return sample.ids.tolist()[: last + 1]
