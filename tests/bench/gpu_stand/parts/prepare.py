"""Writes the base's folder and publishes the adapters, for all parts that follow. Needs no GPU."""

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from parfocal.bench.made.published import adapter_folders, publish_adapters
from parfocal.bench.workloads.shapes import shape_named
from parfocal.registry import FolderRegistry


def measure(setting: Setting, notes: Notes) -> None:
    """Makes what the other parts find in `setting`."""
    workload = setting.scale.mixed
    notes.begin(f"Publishing {workload.adapters} random adapters of rank {workload.rank}")
    setting.write_base()
    registry = FolderRegistry(setting.registry)
    publish_adapters(workload, setting.base, registry, notes.done)
    setting.note_adapters(adapter_folders(workload, registry))
    parameters = shape_named(workload.shape).adapter_parameters(workload.rank)
    notes.sum_up(adapters=workload.adapters, rank=workload.rank, adapter_parameters=parameters)
