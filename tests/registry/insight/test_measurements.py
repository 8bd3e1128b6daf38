"""Metrics as people compare them: with the base, with another version, with intervals, by slice."""

from parfocal.registry import Evaluation
from parfocal.registry.insight import Measured, Measurement, measurements

METRICS = {
    "adapter_loss": 0.4,
    "adapter_loss/de": 0.6,
    "base_loss": 0.9,
    "base_loss/de": 1.1,
    "loss_gain": 0.5,
    "loss_gain_low": 0.4,
    "loss_gain_high": 0.6,
    "adapter_f1": 0.8,
    "adapter_f1_low": 0.7,
    "base_only": 3.0,
    "hit_low": 1.0,
}


def test_pairs_intervals_and_slices_are_one_measurement_each() -> None:
    found = {each.title: each for each in measurements(Evaluation("sha256:rows", 9, METRICS))}
    assert list(found) == ["adapter_f1", "base_only", "hit_low", "loss", "loss_gain", "loss/de"]
    assert found["loss"] == Measurement("loss", "", Measured(0.4), Measured(0.9), None)
    assert found["loss/de"] == Measurement("loss", "de", Measured(0.6), Measured(1.1), None)
    assert found["loss_gain"].value == Measured(0.5, 0.4, 0.6)
    assert found["adapter_f1"].value == Measured(0.8, 0.7, None)
    assert found["hit_low"].value == Measured(1.0)


def test_the_version_before_counts_only_where_the_rows_were_the_same() -> None:
    ours = Evaluation("sha256:rows", 9, METRICS)
    for rows, previous in (("sha256:rows", Measured(0.45)), ("sha256:others", None), ("", None)):
        before = Evaluation(rows, 9, {"adapter_loss": 0.45, "base_loss": 0.9})
        (loss,) = [each for each in measurements(ours, before) if each.title == "loss"]
        assert loss.previous == previous
    unknown = Evaluation("", 9, METRICS)
    assert all(each.previous is None for each in measurements(unknown, unknown))
