"""`parfocal serve` on a base of random weights that is made on the device: the server under test."""

import sys

from bench.gpu_stand.device_base import random_bases
from parfocal.cli.__main__ import main

COMMAND = (sys.executable, "-m", "bench.gpu_stand.serve", "serve")

if __name__ == "__main__":
    with random_bases():
        main()
