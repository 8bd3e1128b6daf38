"""What a distribution requires, a line each, less what is named: `python requirements_of.py NAME LESS…`."""

import sys
from importlib.metadata import requires

from pip._vendor.packaging.requirements import Requirement

if __name__ == "__main__":
    for line in requires(sys.argv[1]) or []:
        asked = Requirement(line)
        is_here = asked.marker is None or asked.marker.evaluate({"extra": ""})
        if is_here and asked.name not in sys.argv[2:]:
            asked.marker = None
            print(asked)
