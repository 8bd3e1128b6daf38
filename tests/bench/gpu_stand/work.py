"""One part in its own process: imports what it needs, waits for its turn, and measures.

python -m bench.gpu_stand.work PART SCRATCH RESULTS [--dry]

The turn comes as a line on stdin, so that a part can be imported while another one measures.
"""

import importlib
import sys
from pathlib import Path

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from parfocal.engine import quick_imports


def main() -> None:
    """Measures one part; whatever ends it early stands in its notes."""
    name, scratch, results = sys.argv[1:4]
    setting = Setting("--dry" in sys.argv[4:], Path(scratch), Path(results))
    notes = Notes(name, setting.results)
    sys.excepthook = notes.failed
    with quick_imports():
        part = importlib.import_module(f"bench.gpu_stand.parts.{name}")
    if sys.stdin.readline():
        part.measure(setting, notes)


if __name__ == "__main__":
    main()
