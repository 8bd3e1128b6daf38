"""What a run writes down of its settings is enough to have the same adapter again."""

from pathlib import Path

from fakes.training import weights
from parfocal.training import TrainConfig, TrainResult, train
from parfocal.training.settings import resolve_settings


def test_the_settings_of_a_run_give_the_same_adapter_again(whole: TrainResult, tmp_path: Path) -> None:
    file, elsewhere = whole.output / "settings.toml", tmp_path / "again"
    again = train(TrainConfig(**resolve_settings(file, {}, [f"output={elsewhere}"]).values))

    assert again.output == elsewhere
    assert weights(again.output) == weights(whole.output)
    assert again.metrics() == whole.metrics()
