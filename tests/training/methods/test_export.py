"""What is published is what was trained: PEFT loads it to the same outputs, and it names its base."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open

from parfocal.engine import quiet_libraries
from parfocal.engine.loading import Loading, load_quantised
from parfocal.registry import BaseFiles, read_peft_folder
from parfocal.training.errors import ParentMismatch
from parfocal.training.methods.adapter import adapter_weights, set_adapter_weights
from parfocal.training.methods.export import export

IDS = torch.arange(3, 23)[None]


def base(folder: Path) -> torch.nn.Module:
    with quiet_libraries():
        return load_quantised(folder, Loading(torch.float32, torch.device("cpu"), "eager", exact=True))


def adapted(folder: Path, rank: int = 4) -> PeftModel:
    with quiet_libraries():
        model = get_peft_model(base(folder), LoraConfig(r=rank, target_modules="all-linear"))
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture
def model(base_folder: Path) -> PeftModel:
    return adapted(base_folder)


def write(model: PeftModel, folder: Path, dtype: str = "float32") -> Path:
    export(model, adapter_weights(model), folder / "out", BaseFiles("org/small", "abc", Path("x")), dtype)
    return folder / "out"


def test_peft_loads_it_to_the_same_logits(model: PeftModel, base_folder: Path, tmp_path: Path) -> None:
    with quiet_libraries():
        loaded = PeftModel.from_pretrained(base(base_folder), write(model, tmp_path)).eval()

    with torch.no_grad():
        assert torch.equal(loaded(input_ids=IDS).logits, model(input_ids=IDS).logits)


def test_it_names_its_base_and_its_modules_by_suffix(model: PeftModel, tmp_path: Path) -> None:
    config = json.loads((write(model, tmp_path) / "adapter_config.json").read_text())

    assert (config["base_model_name_or_path"], config["revision"]) == ("org/small", "abc")
    assert config["target_modules"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"
    ]  # fmt: skip
    assert config["inference_mode"] is True


def test_the_registry_accepts_it_without_a_warning(model: PeftModel, tmp_path: Path) -> None:
    folder = read_peft_folder(write(model, tmp_path))

    assert len(folder.modules) == 14
    assert folder.warnings == ()


@pytest.mark.parametrize(("dtype", "stored"), [("float32", "F32"), ("bfloat16", "BF16")])
def test_weights_have_the_type_that_was_asked_for(
    model: PeftModel, tmp_path: Path, dtype: str, stored: str
) -> None:
    with safe_open(write(model, tmp_path, dtype) / "adapter_model.safetensors", "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {stored}  # noqa: SIM118


def test_the_same_weights_are_the_same_bytes(model: PeftModel, tmp_path: Path) -> None:
    one, other = write(model, tmp_path / "one"), write(model, tmp_path / "other")

    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_torn_earlier_attempt_is_replaced(model: PeftModel, tmp_path: Path) -> None:
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "rest").write_bytes(b"x")

    assert sorted(path.name for path in write(model, tmp_path).iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_weights_of_another_shape_are_refused_by_name(model: PeftModel, base_folder: Path) -> None:
    with pytest.raises(ParentMismatch, match=r"lora_[AB].* of shape"):
        set_adapter_weights(model, adapter_weights(adapted(base_folder, rank=8)))


def test_weights_come_back_as_they_were(model: PeftModel) -> None:
    before = adapter_weights(model)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.zero_()
    set_adapter_weights(model, before)
    after = adapter_weights(model)

    assert all(torch.equal(after[name], before[name]) for name in before)
