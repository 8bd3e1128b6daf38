"""`parfocal serve`: one base and any number of adapters. Its flags are the settings of `ServeConfig`."""

import asyncio
import contextlib
import functools
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

from parfocal.cli.failures import explain
from parfocal.cli.flags import Given, command
from parfocal.cli.serving import CONFIG, RefusalsIn, flag_of, say_to_operator, settings_told, voice_of
from parfocal.engine import EngineFailed, hide_loading_bars, quick_imports
from parfocal.server import (
    Resolved,
    ServeConfig,
    Supervisor,
    settings_of,
    supervised,
)

if TYPE_CHECKING:
    from parfocal.server.assembly import Loaded
    from parfocal.server.doors import Doors

    Load = Callable[[ServeConfig], Loaded]

log = logging.getLogger(__name__)

_DOC = """Serve one base model and any number of adapters.

Each setting is a key of the configuration file, a variable (PARFOCAL_SLOTS for --slots) and a flag. A flag
beats a variable, and a variable beats the file. On SIGTERM, running requests finish and new ones are refused;
a second SIGTERM ends them. The log has a line for each request; what was asked and answered is never in it.
It exits with 2 if its settings are refused, and with 1 for a failure that may pass.

Example: parfocal serve --base tiny --slots 8
"""
# How long a thread computes in Python while another waits for its turn. The engine waits many times in a
# step: at Python's 5 ms, one upload that was checked made tokens several times slower.
_TURN_S = 0.0005
_LAST_RESORT_S = 10.0


def build_serve(load: "Load | None" = None) -> Callable[..., None]:
    """The command, with one flag for each setting; `load` replaces what loads the base, for tests."""
    flags = [CONFIG, *map(flag_of, settings_of(ServeConfig))]
    return command("serve", _DOC, flags, functools.partial(_serve, load or _load))


def _serve(load: "Load", given: Given) -> None:
    resolved = settings_told(given)
    sys.setswitchinterval(_TURN_S)
    with RefusalsIn(resolved.config.log_format):
        try:
            asyncio.run(_serve_until_terminated(resolved, load))
        except EngineFailed as failure:
            _end(failure, resolved.config.log_format)
    _leave(0)


def _end(failure: EngineFailed, log_format: str) -> NoReturn:
    """Ends the process with one line that says why there is nothing to serve with."""
    line = explain(failure) or str(failure)
    if log_format == "json":
        log.critical(line)
    else:
        say_to_operator(f"parfocal: {line}")
    _leave(1)


def _leave(code: int) -> NoReturn:
    """Ends the process immediately: everything has been closed, and Python takes seconds to unload torch.

    If the signal came early, it is the only way to stop a base that is still loading; and a device that is
    lost answers nothing that torch would ask of it.
    """
    logging.shutdown()
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.flush()
    os._exit(code)


async def _serve_until_terminated(resolved: Resolved, load: "Load") -> None:
    from prometheus_client import disable_created_metrics

    from parfocal.server.doors import listening

    # Prometheus `_created` series: half of all series, and unused.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    config, tell = resolved.config, voice_of(resolved.config)
    supervisor = Supervisor(os.environ)
    async with (
        listening(config) as doors,
        supervised(supervisor, doors.is_well, doors.wire.wait_terminated),
    ):
        doors.wire.terminate_on_signals(last_resort=lambda: os._exit(1))
        tell(f"Loading the base {config.base}")
        supervisor.status(f"Loading the base {config.base}")
        loaded = await _loaded(config, doors, load)
        if loaded is not None:
            await _answer(resolved, loaded, doors, supervisor)
    tell("Stopped")


async def _loaded(config: ServeConfig, doors: "Doors", load: "Load") -> "Loaded | None":
    """What `load` returns, without blocking the loop; None if a signal came first."""
    thread = ThreadPoolExecutor(1, "parfocal-load-base")
    loading = asyncio.get_running_loop().run_in_executor(thread, load, config)
    terminated = asyncio.ensure_future(doors.wire.wait_terminated())
    await asyncio.wait((loading, terminated), return_when=asyncio.FIRST_COMPLETED)
    terminated.cancel()
    thread.shutdown(wait=False)
    return await loading if loading.done() else None


def _load(config: ServeConfig) -> "Loaded":
    with quick_imports():
        from parfocal.server.assembly import load

    hide_loading_bars()
    return load(config)


async def _answer(resolved: Resolved, loaded: "Loaded", doors: "Doors", supervisor: Supervisor) -> None:
    from parfocal.server.assembly import running

    tell = voice_of(resolved.config)
    async with running(loaded, doors) as server:
        # Half a million objects were made by now, and they stay. A full collection that looks at them holds
        # every stream up for a third of a second.
        gc.freeze()
        _tell_settings(resolved)
        for line in loaded.memory.lines():
            tell(f"Memory: {line}")
        tell(f"Serving {loaded.contract.id} at {server.address}")
        if server.http_port:
            host = loaded.config.http_address.rpartition(":")[0]
            scheme = "https" if loaded.config.tls_cert else "http"
            tell(f"OpenAI's API at {scheme}://{host}:{server.http_port}/v1")
        if server.metrics_port:
            host = loaded.config.metrics_address.rpartition(":")[0]
            tell(f"Metrics at http://{host}:{server.metrics_port}/metrics")
        supervisor.ready(f"Serving {loaded.contract.id} at {server.address}")
        try:
            await server.run_until_terminated()
        except EngineFailed as failure:
            # Whatever a lost device or a hung disk holds up must not keep the process alive.
            last_resort = threading.Timer(_LAST_RESORT_S, _end, (failure, resolved.config.log_format))
            last_resort.daemon = True
            last_resort.start()
            raise


def _tell_settings(resolved: Resolved) -> None:
    if resolved.config.log_format == "json":
        log.info("Settings", extra={"facts": resolved.values()})
        return
    for line in resolved.lines():
        say_to_operator(line)
