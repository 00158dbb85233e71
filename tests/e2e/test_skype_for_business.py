"""The healthy phone program under the shipped programme of skype-for-business: its whole profile of verdicts, as it is.

The golden file says for each requirement of the profile ``digital`` what comes out at each level and, where that is no
pass, in which words. Nothing in that profile fails: it asks what has a procedure, and what this phone lacks (session
timers, secured media, transfer) stands in profile ``full``, where people still measure it.
"""

from collections.abc import Callable
from pathlib import Path

from stack import WIDEBAND, Phone, Stack

GOLDEN = Path(__file__).parents[1] / "golden" / "skype-for-business.ip-phone-healthy.txt"
PROGRAMME = "skype-for-business.ip-phone"


def test_the_healthy_phone_has_its_golden_profile_of_verdicts(lab: Callable[..., Stack]) -> None:
    stack = lab(Phone())
    more = {"rel100": False, "codec.opus": False, "transfer.blind": False, "transfer.attended": False}
    batch = stack.submit(Phone(), programme=PROGRAMME, ics={**WIDEBAND, **more})
    (judgement,) = stack.judgements(batch).values()
    found = []
    for level in judgement["levels"]:
        for requirement in level["requirements"]:
            words = "" if requirement["verdict"] == "pass" else f": {requirement['words']}"
            line = f"{level['level']} {requirement['requirement']} {requirement['verdict']}"
            found.append(" ".join([line, *requirement["flags"]]) + words)
    found.append(f"earned {judgement['earned'] or 'no level'}")
    print("\n".join(found))
    assert found == GOLDEN.read_text(encoding="utf-8").splitlines()
