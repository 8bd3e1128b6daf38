"""Measures Parfocal on a GPU, part by part; `gpu_stand/run.py` says how. Run it through `gpu.sh`."""

import sys

from bench.gpu_stand.run import main

if __name__ == "__main__":
    sys.exit(main())
