"""With which key what is published is signed: read before hours of training, used at their end. No torch."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.signing import PrivateKey, Signer
from parfocal.training.config import TrainConfig
from parfocal.training.runs import Sign

_PASSPHRASE = "PARFOCAL_KEY_PASSPHRASE"
_MOST_BYTES = 1 << 20


def read_signer(path: Path) -> Signer:
    """Reads a private key in PEM, with the passphrase in PARFOCAL_KEY_PASSPHRASE if it has one.

    Raises InvalidKey or OSError.
    """
    with path.open("rb") as file:
        return Signer(PrivateKey.from_pem(file.read(_MOST_BYTES), os.environ.get(_PASSPHRASE)))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """How a key is read, and its `file`, where that is not the one that the run was given."""

    read: Callable[[Path], Signer] = read_signer
    file: Path | None = None

    def sign(self, config: TrainConfig) -> Sign | None:
        """What signs the version of a run; None where no key was given. Raises InvalidKey or OSError."""
        path = self.file or config.sign_key
        return None if path is None else self.read(path).sign
