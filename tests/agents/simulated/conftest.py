"""Lets the tests beside it import ``phone_wire``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
