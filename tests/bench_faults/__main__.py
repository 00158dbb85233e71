"""``python -m tests.bench_faults``."""

import sys

from tests.bench_faults.command import main

if __name__ == "__main__":
    sys.exit(main())
