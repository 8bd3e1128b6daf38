"""PEFT's configuration: used, harmless or refused by name, field by field."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest

from fakes.registry.peft_folders import Adapter, peft_config
from parfocal.registry.errors import MalformedFile, UnsupportedAdapter
from parfocal.registry.peft.config import PeftConfig, read_peft_config
from parfocal.registry.peft.fields import KNOWN_FIELDS


def read(**changes: object) -> PeftConfig:
    return read_peft_config(json.dumps({**peft_config(Adapter()), **changes}).encode())


def test_what_peft_writes_is_read() -> None:
    config = read(r=16, lora_alpha=32, use_rslora=True, revision="abc")
    assert (config.rank, config.alpha, config.use_rslora) == (16, 32.0, True)
    assert (config.base, config.revision) == ("small-base", "abc")


def test_fields_that_peft_leaves_out_have_its_defaults() -> None:
    config = read_peft_config(b'{"peft_type":"LORA","target_modules":["q_proj"]}')
    assert (config.rank, config.alpha, config.use_rslora, config.base) == (8, 8.0, False, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_dora", True),
        ("modules_to_save", ["lm_head"]),
        ("bias", "all"),
        ("bias", "lora_only"),
        ("lora_bias", True),
        ("trainable_token_indices", [1, 2]),
        ("trainable_token_indices", {"embed_tokens": [1]}),
        ("layer_replication", [[0, 2], [1, 3]]),
        ("target_parameters", ["mlp.experts.down_proj"]),
        ("alora_invocation_tokens", [5, 6]),
        ("use_qalora", True),
        ("use_bdlora", {"nblocks": 2}),
        ("arrow_config", {"top_k": 3}),
        ("kasa_config", {"beta": 1}),
        ("monteclora_config", {"num_samples": 8}),
        ("megatron_config", {"x": 1}),
        ("fan_in_fan_out", True),
        ("init_lora_weights", "pissa"),
        ("init_lora_weights", "pissa_niter_16"),
        ("init_lora_weights", "olora"),
        ("init_lora_weights", "corda"),
        ("init_lora_weights", "loftq"),
        ("init_lora_weights", "lora_ga"),
        ("peft_type", "LOHA"),
        ("peft_type", None),
        ("task_type", "SEQ_CLS"),
        ("something_new", 1),
        ("r", 257),
        ("r", 0),
        ("r", True),
    ],
)
def test_what_serving_cannot_do_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UnsupportedAdapter, match=field) as refused:
        read(**{field: value})
    assert refused.value.field == field


@pytest.mark.parametrize("initialisation", [True, False, "gaussian", "orthogonal", "eva", "mica"])
def test_an_initialisation_that_leaves_the_base_alone_is_accepted(initialisation: object) -> None:
    assert read(init_lora_weights=initialisation).rank == 4


@pytest.mark.parametrize("nothing", [None, False, [], {}])
def test_an_unknown_field_that_is_empty_is_accepted(nothing: object) -> None:
    assert read(something_new=nothing).rank == 4


def test_an_unknown_field_that_is_zero_is_refused() -> None:
    with pytest.raises(UnsupportedAdapter, match="something_new"):
        read(something_new=0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lora_alpha", "16"),
        ("lora_alpha", 0),
        ("lora_alpha", -1),
        ("use_rslora", "yes"),
        ("rank_pattern", ["q_proj"]),
        ("target_modules", None),
        ("target_modules", [1]),
        ("layers_to_transform", ["0"]),
        ("base_model_name_or_path", 5),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(MalformedFile, match=field) as refused:
        read(**{field: value})
    assert refused.value.field == field


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\x80\x04\x95", b'{"r":1,"r":2}'])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedFile, match=r"adapter_config\.json"):
        read_peft_config(data)


def test_the_published_configuration_is_ready_for_inference_on_its_base() -> None:
    published = read(lora_dropout=0.3, layers_to_transform=[1, 0]).normalised("org/base", "abc", {})
    assert published["lora_dropout"] == 0.0
    assert published["inference_mode"] is True
    assert (published["base_model_name_or_path"], published["revision"]) == ("org/base", "abc")
    assert published["layers_to_transform"] == [0, 1]
    assert published["lora_alpha"] == 8


def test_a_published_configuration_reads_as_what_it_came_from() -> None:
    original = read(rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 4.5})
    published = original.normalised("small-base", None, {})
    assert read_peft_config(json.dumps(published).encode()) == original


def test_the_order_in_which_peft_wrote_a_set_does_not_matter() -> None:
    one = read(target_modules=["v_proj", "q_proj"]).normalised("b", None, {})
    assert read(target_modules=["q_proj", "v_proj"]).normalised("b", None, {}) == one


@pytest.mark.parametrize(
    ("data", "rank"),
    [
        (b'\xef\xbb\xbf{"peft_type":"LORA","r":4,"target_modules":["q_proj"]}', 4),
        (b'{"peft_type":"LORA","target_modules":["q_proj"],"seed":1180591620717411303424}', 8),
        (b'{"peft_type":"LORA","target_modules":["q_proj"],"lora_dropout":NaN}', 8),
    ],
    ids=["byte order mark", "integer over 64 bits", "NaN where it does not matter"],
)
def test_json_of_other_programs_is_read(data: bytes, rank: int) -> None:
    assert read_peft_config(data).rank == rank


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b'"r":4,"r":8', "r"),
        (b'"r":4,"rank_pattern":{"a":4,"a":8}', "a"),
        (b'"r":4,"alpha_pattern":{"a":4,"b":1,"b":1}', "b"),
        (b'"use_dora":true,"use_dora":false', "use_dora"),
        (b'"newer_than_we_know":1,"newer_than_we_know":null', "newer_than_we_know"),
    ],
)
def test_two_values_of_a_field_that_may_decide_the_result_are_refused(field: bytes, name: str) -> None:
    with pytest.raises(MalformedFile, match=f"'{name}' appears twice"):
        read_peft_config(b'{"peft_type":"LORA","target_modules":["q_proj"],' + field + b"}")


@pytest.mark.parametrize(
    "field",
    [
        b'"seed":1,"seed":2',
        b'"lora_dropout":0.1,"lora_dropout":0.2',
        b'"runtime_config":{"a":1,"a":2}',
        b'"notes":"half a pair: \\ud83d"',
        b'"_half_a_pair_\\ud83d":{"x":"\\ud800","x":1}',
    ],
)
def test_what_is_ignored_may_say_anything(field: bytes) -> None:
    config = read_peft_config(b'{"peft_type":"LORA","target_modules":["q_proj"],' + field + b"}")
    plain = read_peft_config(b'{"peft_type":"LORA","target_modules":["q_proj"]}')

    assert config == plain
    # A warning may name such a key: it must be fit to print.
    assert "".join(config.warnings).encode("utf-8").decode("utf-8") == "".join(config.warnings)


@pytest.mark.parametrize(
    "notes",
    [
        {"unsloth_fixed": True},
        {"lora_dtype": None, "lorap_lr_ratio": 16.0, "lorap_emb_lr": 1e-6},
        {"merge_weights": False},
        {"transformers_version": "5.1.0", "_name_or_path": "x", "learning_rate": 2e-4, "seed": 42},
    ],
    ids=["Unsloth", "ms-swift", "old PEFT", "by hand"],
)
def test_a_trainers_notes_are_left_out_with_a_warning(notes: dict[str, object]) -> None:
    config = read(**notes)
    [warning] = config.warnings
    assert all(name in warning for name in notes)
    assert config.normalised("b", None, {}) == read().normalised("b", None, {})


@pytest.mark.parametrize(
    "fields",
    [
        {"auto_mapping": {"base_model_class": "LlamaForCausalLM", "unsloth_fixed": True}},
        {"enable_lora": None},
        {"use_rslora": None, "peft_version": "0.7.1"},
    ],
)
def test_fields_that_say_nothing_are_accepted_without_a_word(fields: dict[str, object]) -> None:
    assert read(**fields).warnings == ()


@pytest.mark.parametrize(
    ("field", "value"), [("enable_lora", [True, False, True]), ("use_merged_linear", True), ("num_layers", 8)]
)
def test_a_foreign_field_that_may_change_the_result_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UnsupportedAdapter, match=f"{field} .*may change the result"):
        read(**{field: value})


def test_an_mlx_configuration_is_called_so_and_told_how_to_become_peft() -> None:
    data = b'{"fine_tune_type":"lora","num_layers":16,"lora_parameters":{"rank":8,"scale":20.0}}'
    with pytest.raises(UnsupportedAdapter, match=r"MLX adapter; convert it .*\(scale times rank\)"):
        read_peft_config(data)


def test_every_field_of_peft_is_decided() -> None:
    fields = peft_fields()
    assert len(fields) > 40
    assert fields - KNOWN_FIELDS == set()


def peft_fields() -> set[str]:
    """Returns the fields of PEFT's LoraConfig, read from its source: importing it would load torch."""
    package = importlib.util.find_spec("peft")
    assert package is not None and package.origin is not None
    root = Path(package.origin).parent
    return _fields(root / "config.py", "PeftConfigMixin", "PeftConfig") | _fields(
        root / "tuners/lora/config.py", "LoraConfig"
    )


def _fields(path: Path, *names: str) -> set[str]:
    classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    return {
        statement.target.id
        for node in classes
        if node.name in names
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    }
