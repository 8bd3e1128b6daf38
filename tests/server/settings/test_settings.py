"""Settings: precedence, and errors that say which key, value and source were wrong."""

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine.config import EngineConfig
from parfocal.server.errors import BadSetting
from parfocal.server.settings.config import ServeConfig
from parfocal.server.settings.resolution import resolve_settings
from parfocal.server.settings.setting import Setting, settings_of

SETTINGS = {each.name: each for each in settings_of(ServeConfig)}


def _file(folder: Path, text: str) -> Path:
    path = folder / "parfocal.toml"
    path.write_text(text, "utf-8")
    return path


def test_without_any_source_every_setting_has_its_default() -> None:
    resolved = resolve_settings(None, {}, {})

    assert resolved.config == ServeConfig()
    assert set(resolved.sources.values()) == {"default"}


@pytest.mark.parametrize(
    ("in_file", "in_environment", "as_flag", "expected"),
    [
        (True, False, False, 2),
        (False, True, False, 3),
        (False, False, True, 4),
        (True, True, False, 3),
        (True, False, True, 4),
        (False, True, True, 4),
        (True, True, True, 4),
    ],
)
def test_a_flag_beats_the_environment_which_beats_the_file(
    tmp_path: Path, in_file: bool, in_environment: bool, as_flag: bool, expected: int
) -> None:
    resolved = resolve_settings(
        _file(tmp_path, "slots = 2\n" if in_file else ""),
        {"PARFOCAL_SLOTS": "3"} if in_environment else {},
        {"slots": 4} if as_flag else {},
    )

    assert resolved.config.slots == expected


@given(
    file_keys=st.sets(st.sampled_from(["slots", "max_waiting", "max_rank"])),
    variables=st.sets(st.sampled_from(["slots", "max_waiting", "max_rank"])),
    flags=st.sets(st.sampled_from(["slots", "max_waiting", "max_rank"])),
)
def test_each_setting_takes_its_strongest_source_alone(
    tmp_path_factory: pytest.TempPathFactory, file_keys: set[str], variables: set[str], flags: set[str]
) -> None:
    path = _file(tmp_path_factory.mktemp("config"), "".join(f"{key} = 21\n" for key in file_keys))

    resolved = resolve_settings(
        path, {f"PARFOCAL_{key.upper()}": "22" for key in variables}, dict.fromkeys(flags, 23)
    )

    for key in ("slots", "max_waiting", "max_rank"):
        default = SETTINGS[key].default
        expected = 23 if key in flags else 22 if key in variables else 21 if key in file_keys else default
        assert getattr(resolved.config, key) == expected


def test_the_lines_say_where_each_value_came_from(tmp_path: Path) -> None:
    path = _file(tmp_path, "slots = 2\n")

    lines = resolve_settings(path, {"PARFOCAL_DTYPE": "float32"}, {"prefix_cache": False}).lines()

    shown = {line.split(" = ")[0].strip(): line.split(" = ")[1] for line in lines}
    assert shown["slots"] == f"2  ({path})"
    assert shown["dtype"] == "float32  (PARFOCAL_DTYPE)"
    assert shown["prefix_cache"] == "false  (--prefix-cache)"
    assert shown["context_tokens"] == "unset  (default)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slot = 2", "unknown setting slot in .*the nearest one is slots"),
        ("max-rank = 2", "unknown setting max-rank in .*the nearest one is max_rank"),
        ("slots = 'many'", "sets slots to 'many'; it must be a whole number, at least 1"),
        ("slots = 2.5", "sets slots to 2.5; it must be a whole number"),
        ("slots = true", "sets slots to True; it must be a whole number"),
        ("slots = 0", "sets slots to 0; it must be a whole number, at least 1"),
        ("dtype = 'int4'", "sets dtype to 'int4'; it must be one of auto, float32"),
        ("drain_s = nan", "sets drain_s to nan; it must be a number"),
        ("drain_s = inf", "sets drain_s to inf; it must be a number"),
        ("prefix_cache = 'maybe'", "sets prefix_cache to 'maybe'; it must be true or false"),
        ("kv_cache_bytes = 'much'", "sets kv_cache_bytes to 'much'; it must be a number of bytes"),
        ("slots = [1]", r"sets slots to \[1\]; it must be a whole number"),
        ("slots = = 2", "is not TOML"),
    ],
)
def test_a_bad_file_is_refused_naming_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    path = _file(tmp_path, text)

    with pytest.raises(BadSetting, match=message) as caught:
        resolve_settings(path, {}, {})

    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"absent\.toml cannot be read: No such file"):
        resolve_settings(tmp_path / "absent.toml", {}, {})


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("PARFOCAL_SLOT", "2", "unknown setting PARFOCAL_SLOT in the environment.*PARFOCAL_SLOTS"),
        ("PARFOCAL_SLOTS", "two", "PARFOCAL_SLOTS sets slots to 'two'; it must be a whole number"),
        ("PARFOCAL_SLOTS", "-1", "PARFOCAL_SLOTS sets slots to -1"),
        ("PARFOCAL_DRAIN_S", "-0.5", "PARFOCAL_DRAIN_S sets drain_s to -0.5"),
        ("PARFOCAL_PREFIX_CACHE", "perhaps", "it must be true or false"),
    ],
)
def test_a_bad_variable_is_refused_naming_key_and_value(variable: str, text: str, message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        resolve_settings(None, {variable: text}, {})


def test_what_kubernetes_puts_beside_a_service_is_not_a_mistake() -> None:
    links = {
        "PARFOCAL_SERVICE_HOST": "10.0.0.1",
        "PARFOCAL_SERVICE_PORT": "50051",
        "PARFOCAL_SERVICE_PORT_GRPC": "50051",
        "PARFOCAL_PORT": "tcp://10.0.0.1:50051",
        "PARFOCAL_PORT_50051_TCP": "tcp://10.0.0.1:50051",
        "PARFOCAL_PORT_50051_TCP_ADDR": "10.0.0.1",
    }

    assert resolve_settings(None, links, {}).config == ServeConfig()


def test_variables_for_training_are_no_mistake() -> None:
    assert resolve_settings(None, {"PARFOCAL_TRAIN_RANK": "8"}, {}).config == ServeConfig()


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("1024", 1024), ("1KiB", 1024), ("512 MiB", 512 << 20), ("1.5gib", 3 << 29), ("1TiB", 1 << 40)],
)
def test_sizes_may_have_a_unit(text: str, size_bytes: int) -> None:
    assert resolve_settings(None, {"PARFOCAL_KV_CACHE_BYTES": text}, {}).config.kv_cache_bytes == size_bytes


def test_an_empty_variable_unsets_an_optional_setting(tmp_path: Path) -> None:
    path = _file(tmp_path, "context_tokens = 128\n")

    resolved = resolve_settings(path, {"PARFOCAL_CONTEXT_TOKENS": ""}, {})

    assert resolved.config.context_tokens is None


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_default_survives_being_written_as_text(setting: Setting) -> None:
    text = "" if setting.default is None else str(setting.default)

    assert setting.parse(text, "a test") == setting.default


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_every_setting_has_a_sentence_of_help(setting: Setting) -> None:
    assert setting.help.endswith(".")


def test_every_engine_setting_can_be_told_to_the_server_and_has_the_engines_default() -> None:
    declared = {each.name: SETTINGS[each.name].default for each in fields(EngineConfig)}

    assert EngineConfig(**declared) == EngineConfig()  # type: ignore[arg-type]
    assert ServeConfig(slots=3, prefix_cache=False).engine() == EngineConfig(slots=3, prefix_cache=False)
