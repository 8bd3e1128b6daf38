"""One run, planned: checked data, every choice with its reason, and the base's sizes. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parfocal.registry import BaseContract, BaseFiles
from parfocal.registry.bases import decoder_fields
from parfocal.registry.values import read_foreign_json
from parfocal.training.config import TrainConfig
from parfocal.training.data import Prepared, learnt_tokens
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.planning.memory import Sizes


@dataclass(frozen=True, slots=True)
class Plan:
    """What `train` carries out and `parfocal plan` shows: the same value from the same function.

    `sizes` is None where the base's configuration does not tell its shape.
    """

    config: TrainConfig
    prepared: Prepared[Any]
    hyperparameters: Hyperparameters
    base: BaseFiles
    contract: BaseContract

    @property
    def sizes(self) -> Sizes | None:
        """The base's shape and vocabulary."""
        shape = self.contract.shape
        config = read_foreign_json((self.base.folder / "config.json").read_bytes())
        if shape is None or not isinstance(config, Mapping):
            return None
        fields = decoder_fields(config) or config
        vocabulary = fields.get("vocab_size")
        if not isinstance(vocabulary, int):
            return None
        return Sizes(shape, vocabulary, bool(fields.get("tie_word_embeddings", False)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may be too small: an adapter with fewer weights than the rows teach tokens."""
        sizes, taught = self.sizes, learnt_tokens(self.prepared.train)
        if sizes is None:
            return ()
        weights = sizes.adapter_weights(self.hyperparameters.rank, self.config.targets)
        if taught <= weights:
            return ()
        return (
            f"the rows teach {taught:,} tokens, and the adapter has {weights:,} weights: it may not hold all "
            "of them (Tinker's rule); a higher rank or more targets hold more",
        )

    def lines(self) -> list[str]:
        """Every choice with its reason, and warnings, for people."""
        choices = self.hyperparameters.choices
        return [
            *(f"{choice.name:<14}{choice.value!s:<12}{choice.reason}" for choice in choices),
            *(f"warning: {each}" for each in self.warnings),
        ]
