"""A defect switched on in the proxy turns exactly the right requirement to fail; switched off, none.

Fourteen phones and their proxies share one small machine here, and what it cannot send in time shows in the pace of
any of them: BP-MED-03 is looked at only where it is the one to be found. The healthy phone's is looked at in
``test_main_job``, where three phones have the machine to themselves.
"""

from collections.abc import Callable

from stack import Phone, Stack, failed

FOUND_BY = {
    "none": set[str](),
    "ringing-never": {"BP-SIP-01"},
    "answer-codec-not-offered": {"BP-SIP-01"},
    "hold-as-sendrecv": {"BP-SIP-03"},
    "resume-no-media": {"BP-SIP-03"},
    "dtmf-digit-lost": {"BP-MED-02"},
    "dtmf-end-missing": {"BP-MED-02"},
    "options-unanswered": {"BP-SIP-07"},
    "bye-unanswered": {"BP-SIP-05"},
    "cancel-no-487": {"BP-SIP-06"},
    "rtp-jitter": {"BP-MED-03"},
    "invite-no-retransmission": {"BP-SIP-04"},
    "register-refresh-late": {"BP-REG-02"},
    "codec-g722-silent": {"BP-MED-01"},
}
BENCHES = 3
PACE = {"BP-MED-03"}


def test_each_defect_is_found_by_its_requirement_and_by_no_other(lab: Callable[..., Stack]) -> None:
    phones = [Phone(defects=() if slug == "none" else (slug,), revision=slug) for slug in FOUND_BY]
    stack = lab(*phones, benches=BENCHES)
    batch = stack.submit(*phones)
    judgements = stack.judgements(batch, timeout_s=900)
    table = {slug: failed(judgements[slug]) for slug in FOUND_BY}
    for slug, found in table.items():
        print(f"{slug:28} {found}")
    wrong = {
        slug: found
        for slug, found in table.items()
        if set(found) - PACE | (FOUND_BY[slug] & set(found)) != FOUND_BY[slug]
    }
    assert wrong == {}
    verdicts = {found[requirement] for slug, found in table.items() for requirement in FOUND_BY[slug]}
    assert verdicts == {"fail"}
