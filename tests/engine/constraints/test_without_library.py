"""Where llguidance is not installed all else works, and a constraint is refused with what to install."""

import subprocess
import sys

_ASK = """
import asyncio, sys
sys.modules["llguidance"] = None  # as if it were not installed
from tokenizers import Tokenizer
from parfocal.engine import ConstraintsUnavailable
from parfocal.engine.constraints import Choice, open_compiler
from parfocal.registry import locate_base

file = locate_base("tiny", weights=False).folder / "tokenizer.json"
compiler = open_compiler(Tokenizer.from_file(str(file)), 2048, (2,))
for _ in range(2):
    try:
        asyncio.run(compiler.compile(Choice(("a",))))
    except ConstraintsUnavailable as error:
        print(error)
compiler.close()
"""


def test_a_missing_library_is_named_with_what_installs_it() -> None:
    done = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, check=True)

    assert (
        done.stdout.splitlines()
        == [
            "structured output needs the package llguidance, which is not installed here: "
            "pip install 'parfocal[serve]'"
        ]
        * 2
    )
