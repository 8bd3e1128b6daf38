"""Other ways to get a 4-bit base with a trainable adapter: plain transformers and PEFT, and TRL's trainer."""

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path

from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM

from oracle.resident_training import with_fresh_adapter
from parfocal.engine.loading import Loading, quantisation_config

Way = Callable[[Path, Loading, int], PeftModel]


def other_ways() -> Mapping[str, Way]:
    """Returns plain transformers, and TRL where it and its library of data are installed.

    Importing them here keeps it out of what is measured.
    """
    if not all(importlib.util.find_spec(name) for name in ("trl", "datasets")):
        return {"transformers": by_transformers}
    importlib.import_module("trl.trainer.sft_trainer")
    return {"transformers": by_transformers, "trl": by_trl}


def by_transformers(checkpoint: Path, loading: Loading, rank: int) -> PeftModel:
    """Returns the checkpoint as transformers quantises it, with an adapter of PEFT's."""
    model = AutoModelForCausalLM.from_pretrained(
        checkpoint,
        quantization_config=quantisation_config(loading.dtype),
        dtype=loading.dtype,
        attn_implementation=loading.attention,
        device_map={"": loading.device},
        use_safetensors=True,
    )
    return with_fresh_adapter(model, rank)


def by_trl(checkpoint: Path, loading: Loading, rank: int) -> PeftModel:
    """Returns what TRL's trainer makes of the path of a checkpoint; the trainer is not used further."""
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    settings = SFTConfig(
        output_dir=str(checkpoint / "trained"),
        model_init_kwargs={
            "dtype": loading.dtype,
            "attn_implementation": loading.attention,
            "device_map": {"": loading.device},
        },
        bf16=False,
        use_cpu=loading.device.type == "cpu",
        gradient_checkpointing=False,
        max_length=None,
        report_to=[],
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = SFTTrainer(
        model=str(checkpoint),
        args=settings,
        quantization_config=quantisation_config(loading.dtype),
        train_dataset=Dataset.from_dict({"input_ids": [[1, 2]], "labels": [[1, 2]]}),
        peft_config=LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    model = trainer.model
    assert isinstance(model, PeftModel)
    return model
