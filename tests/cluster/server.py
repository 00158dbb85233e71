"""``assay serve`` that offers two programmes more: that of keys, and that for phones without its longest case.

Arguments as the command's own, after ``serve``.
"""

import orchestrator.app
from lab_inventory.programme import Programme
from lab_inventory.shipped import shipped_programmes
from orchestrator.cli import main
from tests.faults.long_programme import LONG

LEFT_OUT = "invite-give-up"
"""It waits for a timer of 32 s; what it measures, tests/e2e tries."""


def shorter() -> Programme:
    """The shipped programme for phones under another name, without the case that is left out."""
    whole = next(programme for programme in shipped_programmes() if programme.id == "ip-phone-basic")
    content = whole.model_dump(mode="json", exclude_none=True)
    left_out = set()
    for suite in content["suites"]:
        left_out |= {case["id"] for case in suite["cases"] if case["procedure"] == LEFT_OUT}
        suite["cases"] = [case for case in suite["cases"] if case["procedure"] != LEFT_OUT]
    content["requirements"] = [entry for entry in content["requirements"] if entry["case"] not in left_out]
    return Programme.model_validate({**content, "id": "ip-phone-shorter"})


if __name__ == "__main__":
    orchestrator.app.shipped_programmes = lambda: (*shipped_programmes(), LONG, shorter())
    main()
