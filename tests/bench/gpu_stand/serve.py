"""`parfocal serve` on a base of random weights that is made on the device: the server under test."""

import sys

from parfocal.cli.__main__ import main

from .device_base import random_bases

COMMAND = (sys.executable, "-m", "bench.gpu_stand.serve", "serve")

if __name__ == "__main__":
    with random_bases():
        main()
