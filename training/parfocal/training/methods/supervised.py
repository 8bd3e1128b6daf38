"""Learning answers, or whole texts: the loss is taken over the tokens that are labelled."""

from collections.abc import Sequence
from pathlib import Path

from peft import PeftModel
from transformers import TrainerCallback

from parfocal.training.data import Sample
from parfocal.training.methods.method import Setting
from parfocal.training.methods.trainer import AnswerTrainer, arguments, build_trainer


class Supervised:
    """`sft` and `text`: nothing of the beginning matters later."""

    def __init__(self, setting: Setting, train: Sequence[Sample]) -> None:
        self._setting = setting
        self._train = train

    def begin(self, model: PeftModel) -> None:
        """Notes nothing."""

    def keep(self, folder: Path) -> None:
        """Writes nothing."""

    def restore(self, folder: Path) -> None:
        """Reads nothing."""

    def build(self, model: PeftModel, callback: TrainerCallback) -> AnswerTrainer:
        """TRL's trainer of answers."""
        it = self._setting
        settings = arguments(it.config, it.hyperparameters, it.folder, it.device)
        return build_trainer(model, it.encoder.tokenizer, self._train, settings, callback)
