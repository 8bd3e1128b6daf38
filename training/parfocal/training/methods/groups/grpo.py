"""GRPO (arXiv:2402.03300) with TRL's trainer: groups of own answers, of which the better become likelier.

TRL computes advantages and loss. Prompts, drawing and rewards are ours: prompts are tokens already, what is
drawn at a step depends on the seed and the step alone, and a reward that fails ends the run.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor
from transformers import TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from parfocal.training.computing import steady_cross_entropy
from parfocal.training.data import MASKED, BaseEncoder, Question
from parfocal.training.evaluation import answer_logits
from parfocal.training.methods.adapter import adapter_weights
from parfocal.training.methods.groups.drawing import Drawing
from parfocal.training.methods.method import Setting
from parfocal.training.methods.order import row_order
from parfocal.training.methods.ordered import Ordered, settled, shared_arguments
from parfocal.training.rewards import Attempt, GuardedRewards, guarded_rewards


class GroupTrainer(Ordered, GRPOTrainer):
    """Rewards groups of drawn answers and learns from who did better than the others of the group."""

    questions: Sequence[Question]
    encoder: BaseEncoder
    drawing: Drawing
    rewards: GuardedRewards

    def size_of(self, inputs: Any) -> int:
        """The tokens of the prompts."""
        return sum(self.questions[int(row["prompt"])].size for row in inputs)

    def _tokenize_prompts(self, prompts: list[str]) -> Any:
        return [self.questions[int(prompt)].ids.tolist() for prompt in prompts], None, {}

    def _generate_single_turn(self, prompt_ids: Any, *_: Any, **__: Any) -> Any:
        """Draws from a state of its own for each step, so that a resumed run draws what it would have."""
        state = self.accelerator.process_index, self.state.global_step, self.args.seed
        torch.manual_seed(int.from_bytes(hashlib.sha256(repr(state).encode()).digest()[:7], "big"))
        model = self.accelerator.unwrap_model(self.model_wrapped)
        return self.drawing.draw(model, prompt_ids, self.encoder), None

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Any:
        questions = [self.questions[int(prompt)] for prompt in prompts]
        table = self.rewards.table(attempts_of(questions, completions))
        found = torch.tensor(table, dtype=torch.float32, device=self.accelerator.device)
        return self.accelerator.gather(found)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **rest: Any,
    ) -> Any:
        """On a CPU with the logits of the answers alone, and gradients that no number of threads changes."""
        if input_ids.device.type == "cuda":
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size=batch_size, **rest
            )
        size = batch_size or len(input_ids)
        parts = [
            answer_log_probs(
                model,
                input_ids[at : at + size],
                attention_mask[at : at + size],
                logits_to_keep,
                self.temperature,
            )
            for at in range(0, len(input_ids), size)
        ]
        logs, entropies = (torch.cat(both) for both in zip(*parts, strict=True))
        return logs, entropies if rest.get("compute_entropy") else None, None


def answer_log_probs(
    model: Any, ids: Tensor, mask: Tensor, columns: int, temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy of each token in the last `columns`, `[rows, columns]`; 0 where masked."""
    labels = ids.masked_fill(mask == 0, MASKED)
    labels[:, :-columns] = MASKED
    answers = answer_logits(model, {"input_ids": ids, "attention_mask": mask, "labels": labels})
    logits = answers.logits.float() / temperature
    place = (labels[:, 1:] != MASKED).nonzero(as_tuple=True)
    place = place[0], place[1] - (ids.shape[1] - 1 - columns)
    empty = torch.zeros(len(ids), columns, device=ids.device)
    logs = empty.index_put(place, -steady_cross_entropy(logits, answers.targets))
    with torch.no_grad():
        spread = logits.log_softmax(-1)
        entropies = empty.index_put(place, -(spread.exp() * spread).sum(-1))
    return logs, entropies


def attempts_of(questions: Sequence[Question], texts: Sequence[str]) -> list[Attempt]:
    """The answers as rewards want them."""
    return [
        Attempt(text, question.fields, f"{question.source} line {question.line}", question.row)
        for question, text in zip(questions, texts, strict=True)
    ]


class Rewarded:
    """`grpo`: nothing of the beginning matters later, unless beta holds on to it."""

    def __init__(self, setting: Setting, train: Sequence[Question]) -> None:
        self._setting = setting
        self._train = train
        config = setting.config
        self._rewards = setting.rewards or guarded_rewards(config.rewards, config.reward_seconds)

    def begin(self, model: PeftModel) -> None:
        """Notes nothing."""

    def keep(self, folder: Path) -> None:
        """Writes nothing."""

    def restore(self, folder: Path) -> None:
        """Reads nothing."""

    def build(self, model: PeftModel, callback: TrainerCallback) -> GroupTrainer:
        """TRL's trainer of groups."""
        it = self._setting
        chosen = it.hyperparameters
        shared = shared_arguments(it.config, chosen, it.folder, it.device)
        shared["per_device_train_batch_size"] = chosen.micro_batch * chosen.generations
        settings = GRPOConfig(
            **shared,
            num_generations=chosen.generations,
            max_completion_length=chosen.answer_tokens,
            temperature=it.config.temperature,
            beta=chosen.beta,
            shuffle_dataset=False,
            disable_dropout=False,
        )
        weights = adapter_weights(model)
        batch = chosen.micro_batch * chosen.accumulation
        order = row_order([each.size for each in self._train], batch, chosen.steps, it.config.seed)
        trainer = GroupTrainer(
            model=model,
            reward_funcs=[named(name) for name in self._rewards.names],
            args=settings,
            train_dataset=Dataset.from_dict({"prompt": [str(index) for index in order]}),
            processing_class=it.encoder.tokenizer,
            callbacks=[callback],
        )
        trainer.questions = self._train
        trainer.encoder = it.encoder
        trainer.drawing = Drawing(chosen.answer_tokens, it.config.temperature)
        trainer.rewards = self._rewards
        settled(trainer, model, weights)
        return trainer


def named(name: str) -> Any:
    """What TRL takes for a reward: only its name is used."""

    def reward(**_: Any) -> list[float]:
        raise NotImplementedError

    reward.__name__ = name
    return reward
