"""What a registry's server is shown, named here for those who must not know the wire."""

from parfocal.rpc import Credentials

__all__ = ["Credentials"]
