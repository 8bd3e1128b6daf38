"""Writes a small random adapter of the embedded base: python adapter.py FOLDER."""

import sys
from pathlib import Path

from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.registry import locate_base

if __name__ == "__main__":
    write_adapter(Path(sys.argv[1]), locate_base("tiny", weights=True).folder, AdapterShape(rank=4), 1)
