"""The measuring stand: serves a workload, then gives it to rivals, one after another."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from parfocal.bench.limits import (
    Hardware,
    Stored,
    load_average,
    machine,
    measure_hardware,
    stored_types,
    versions,
)
from parfocal.bench.load import (
    Alternative,
    Load,
    Saturation,
    Stages,
    find_saturation,
    model_at,
    put_under_load,
    rounds_of_load,
    saturation_stages,
)
from parfocal.bench.made import adapter_folders, cached_base, publish_adapters, registry_folder
from parfocal.bench.others import BatchRival, Ground, ServerRival
from parfocal.bench.servers import OwnServer, ServerPlace, Watched, own_server
from parfocal.bench.workloads import Against, Workload
from parfocal.registry import FolderRegistry


@dataclass(frozen=True, slots=True)
class Setup:
    """What a bench is to do. `device` is the server's setting; `cache` keeps bases and adapters for the next.

    `peft` answers all requests in one batch, so it is left out where they arrive one by one. `against` is the
    workload that ours takes turns with; `with_base` also asks for the base alone.
    """

    workload: Workload
    device: str
    cache: Path
    peft: BatchRival | None = None
    endpoints: tuple[ServerRival, ...] = ()
    against: Against | None = None
    with_base: bool = True

    @property
    def batch_rival(self) -> BatchRival | None:
        """PEFT, if it is asked for and can do the same work."""
        can = not self.workload.is_open and self.workload.in_flight is None
        return self.peft if can else None

    def check(self) -> None:
        """Raises BenchError for what cannot be run, before anything takes time."""
        self.workload.check()
        if self.against is not None:
            replace(self.against.workload, sweep=()).check()
        for endpoint in self.endpoints:
            endpoint.check(self.workload)


@dataclass(frozen=True, slots=True)
class Served:
    """What our server gave, how it holds its numbers, and what was seen of its process."""

    load: Load
    stored: Stored
    device: str
    saturation: Saturation | None = None
    watched: Watched | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that was measured in one run. `peft` holds each type's tokens per second, round by round.

    `endpoints` holds what each other server gave, by name, and `urls` where it listened. `against` is what
    the alternative in `served` was asked.
    """

    workload: Workload
    served: Served
    peft: Mapping[str, tuple[float, ...]]
    hardware: Hardware
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    endpoints: Mapping[str, Load]
    urls: Mapping[str, str]
    against: Against | None = None


def stages_of(setup: Setup) -> int:
    """How many stages `measure` reports, at most."""
    workload, against = setup.workload, setup.against
    adapters = workload.adapters + (against.workload.adapters if against else 0)
    loads = rounds_of_load(workload, against is not None) + len(setup.endpoints) * rounds_of_load(workload)
    rival = setup.batch_rival
    peft = rival.stages(workload) if rival else 0
    return 4 + adapters + saturation_stages(workload) + loads + peft


def measure(setup: Setup, stages: Stages) -> Bench:
    """Runs the whole bench. Raises BenchError, RemoteError or RegistryError; there are no figures then."""
    load = load_average()
    setup.check()
    stages.begin(f"Writing a random {setup.workload.shape}")
    base = cached_base(setup.workload.sizes(), setup.cache)
    stages.done()
    registry = _published(setup, setup.workload, base, stages)
    served = _serve(setup, base, stages)
    stages.begin("Measuring the hardware")
    hardware = measure_hardware(served.device)
    stages.done()
    # A share of saturation has become a rate.
    workload = _at_rate(setup.workload, served.saturation)
    peft: Mapping[str, tuple[float, ...]] = {}
    targets = [each.target(workload) for each in setup.endpoints]
    endpoints = {target.name: put_under_load(target, workload, stages) for target in targets}
    if setup.batch_rival is not None:
        ground = Ground(base, lambda: adapter_folders(workload, registry), served.device, served.stored.dtype)
        peft = setup.batch_rival.speeds(workload, ground, stages)
    return Bench(
        workload=workload,
        served=served,
        peft=peft,
        hardware=hardware,
        machine=machine(served.device, load),
        versions=versions(),
        endpoints=endpoints,
        urls={endpoint.name: endpoint.url for endpoint in setup.endpoints},
        against=setup.against,
    )


def _published(setup: Setup, workload: Workload, base: Path, stages: Stages) -> FolderRegistry:
    stages.begin(f"Publishing {workload.adapters} random adapters")
    registry = FolderRegistry(registry_folder(workload, base, setup.cache))
    publish_adapters(workload, base, registry, stages.done)
    return registry


def _serve(setup: Setup, base: Path, stages: Stages) -> Served:
    """Starts our server, and a second one where the alternative needs other settings; loads them in turn."""
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parfocal-bench-")))
        place = _place(setup, setup.workload, base, scratch / "server.log")
        stages.begin(f"Starting the server on {setup.workload.shape}")
        server = stack.enter_context(own_server(place, setup.workload, stages, setup.with_base))
        model = model_at(server.process.address)
        stages.done()
        alternative = stack.enter_context(_alternative(setup, place, server, stages))
        saturation = find_saturation(server, setup.workload, stages)
        if alternative is not None:
            alternative = replace(alternative, workload=_at_rate(alternative.workload, saturation))
        load = put_under_load(server, _at_rate(setup.workload, saturation), stages, alternative)
        watched = server.watch.end()
        stages.begin("Stopping the server")
    stored = stored_types(setup.workload, model.dtype, model.device)
    return Served(load, stored, model.device, saturation, watched)


@contextlib.contextmanager
def _alternative(
    setup: Setup, place: ServerPlace, server: OwnServer, stages: Stages
) -> Iterator[Alternative | None]:
    """Yields the alternative, on a server of its own unless ours has the settings that it needs."""
    if setup.against is None:
        yield None
        return
    workload = replace(setup.against.workload, sweep=())
    _published(setup, workload, place.base, stages)
    other = _place(setup, workload, place.base, place.log.with_name("alternative.log"))
    if other.settings(workload) == place.settings(setup.workload):
        yield Alternative(replace(server, name=f"{server.name}, {setup.against.text}"), workload)
        return
    stages.begin(f"Starting a server for {setup.against.text}")
    with own_server(other, workload, stages) as second:
        stages.done()
        yield Alternative(replace(second, name=f"{second.name}, {setup.against.text}"), workload)


def _place(setup: Setup, workload: Workload, base: Path, log: Path) -> ServerPlace:
    return ServerPlace(base, registry_folder(workload, base, setup.cache), setup.device, log)


def _at_rate(workload: Workload, saturation: Saturation | None) -> Workload:
    return replace(workload, rate=saturation.rate, rate_share=None) if saturation else workload
