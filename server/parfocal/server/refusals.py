"""Tells a start that the settings prevent from one that may go well the next time."""

from parfocal.engine import BaseRefused, DeviceAbsent, EngineMisconfigured
from parfocal.registry import BaseNotFetched, BaseUnreachable, BaseUnsupported, NotARegistry

_OF_WHAT_IS_NAMED = (BaseRefused, BaseUnreachable, BaseUnsupported, NotARegistry)
# The network, the Hub or a driver may come later.
_MAY_COME = (BaseNotFetched, DeviceAbsent)


def refuses_settings(error: BaseException) -> bool:
    """Whether a failure to start comes again until somebody changes the settings, or what they name.

    So it is with every INVALID_ARGUMENT, such as BadSetting. A port that is taken, a registry that does not
    answer or memory that others hold may be given back.
    """
    if isinstance(error, _MAY_COME):
        return False
    if isinstance(error, EngineMisconfigured):
        return error.field is not None  # without one it is the memory that is there now
    return isinstance(error, _OF_WHAT_IS_NAMED) or getattr(error, "status", "") == "INVALID_ARGUMENT"
