"""Proves, before anything is stored, that a configuration reads back as what it was published for."""

from collections.abc import Iterable

from parfocal.registry.errors import MalformedFile
from parfocal.registry.peft.config import PeftConfig, read_peft_config
from parfocal.registry.peft.folder import MAX_CONFIG_BYTES
from parfocal.registry.peft.pattern_graph import ModulePath
from parfocal.registry.values import CONFIG_FILE, TargetModule


def check_published_config(data: bytes, targets: Iterable[TargetModule]) -> None:
    """Raises AdapterRefused unless the published configuration gives every module what its contract says."""
    if len(data) > MAX_CONFIG_BYTES:
        raise MalformedFile(
            f"{CONFIG_FILE} would have {len(data)} bytes when it is published; {MAX_CONFIG_BYTES} are read: "
            "give fewer modules a rank or an alpha of their own",
            field=CONFIG_FILE,
        )
    config = read_peft_config(data)
    for target in targets:
        _check(config, target)


def _check(config: PeftConfig, target: TargetModule) -> None:
    module = ModulePath(target.path, config.work)
    said = config.selection.rejects(module), config.rank_of(module), config.alpha_of(module)
    if said != (None, target.rank, target.alpha):
        raise MalformedFile(
            f"{CONFIG_FILE} cannot be published so that it says of module {target.path} what it says now: "
            "name the modules in target_modules, and their ranks and alphas, without patterns",
            field=CONFIG_FILE,
        )
