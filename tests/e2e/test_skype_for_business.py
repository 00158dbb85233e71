"""The healthy phone program under the shipped programme of skype-for-business: its whole profile of verdicts, as it is.

The golden file says for each requirement of the profile ``digital`` what comes out at each level. What this phone lacks
or does otherwise than the standards say fails; with message and clause it stands in docs/findings/.
"""

from collections.abc import Callable
from pathlib import Path

from stack import WIDEBAND, Phone, Stack

GOLDEN = Path(__file__).parents[1] / "golden" / "skype-for-business.ip-phone-healthy.txt"
PROGRAMME = "skype-for-business.ip-phone"


def test_the_healthy_phone_has_its_golden_profile_of_verdicts(lab: Callable[..., Stack]) -> None:
    stack = lab(Phone())
    lacks = ("rel100", "dialog-events", "transfer.attended", "tls", "srtp.sdes", "codec.opus")
    more = {**dict.fromkeys(lacks, False), "transfer.blind": True}
    batch = stack.submit(Phone(), programme=PROGRAMME, ics={**WIDEBAND, **more})
    (judgement,) = stack.judgements(batch).values()
    found = []
    for level in judgement["levels"]:
        for requirement in level["requirements"]:
            line = f"{level['level']} {requirement['requirement']} {requirement['verdict']}"
            found.append(" ".join([line, *requirement["flags"]]))
            if requirement["verdict"] not in ("pass", "not-applicable"):
                print(f"{line}: {requirement['words']}")
    found.append(f"earned {judgement['earned'] or 'no level'}")
    print("\n".join(found))
    assert found == GOLDEN.read_text(encoding="utf-8").splitlines()
