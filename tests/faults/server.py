"""``assay serve`` that offers the long programme too. Arguments as the command's own, after ``serve``."""

import orchestrator.app
from lab_inventory.shipped import shipped_programmes
from orchestrator.cli import main
from tests.faults.long_programme import LONG

if __name__ == "__main__":
    orchestrator.app.shipped_programmes = lambda: (*shipped_programmes(), LONG)
    main()
