"""Holds the registry that a process serves to the quotas in its settings."""

from parfocal.registry import Quotas, Registry, RegistryError, StoredRegistry
from parfocal.server.errors import BadSetting
from parfocal.server.settings import ServeConfig


def hold_to_quotas(registry: Registry, config: ServeConfig) -> None:
    """Raises BadSetting for quotas that cannot be read, or that another process has to keep."""
    try:
        quotas = Quotas.parse(config.quotas)
    except RegistryError as error:
        raise BadSetting(f"the setting quotas cannot be used: {error}", field="quotas") from error
    if not config.quotas:
        return
    if not isinstance(registry, StoredRegistry):
        raise BadSetting(
            f"registry {config.registry} is served by another process, which keeps the quotas: give them to "
            "that one",
            field="quotas",
        )
    registry.limit_to(quotas)
