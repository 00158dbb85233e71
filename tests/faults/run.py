"""The process of a run, as agents start it here: the product's own, with the suite of keys.

python -m tests.faults.run --scale 0.05 [--planted] DIR
"""

import argparse
import sys
from pathlib import Path

from agents.run import main
from lab_inventory.shipped import shipped_programmes
from tests.faults import planted
from tests.faults.long_programme import LONG
from tests.faults.suite import opens

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, required=True)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    if options.planted:
        planted.in_a_run()
    open_suite = opens((*shipped_programmes(), LONG), options.scale)
    sys.exit(main(options.directory, find_suite=lambda category: open_suite))
