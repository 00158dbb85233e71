"""Rules of transactions and dialogs that a phone must keep, called and calling (RFC 3261, 8, 12, 13)."""

import asyncio
from itertools import pairwise

from agents.instruments.conduct import Conduct
from agents.instruments.sip_transactions import ClientTransaction
from agents.instruments.sip_values import cseq, tag, tokens
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import REQUEST_TIMEOUT_S, answer_to_ask, ask, in_words, talking_call
from agents.suites.ip_phone.bench import RING_SOON_S, PhoneBench
from agents.suites.ip_phone.timers import deviation, stall_percent
from lab_inventory.measurement import Unit

REPEATS_SEEN = 2
REPEATS_WITHIN_S = 3.0
QUIET_S = 2.5
NOTHING_TAG = "x-assay-nothing"


@procedure(
    "answer-repeated",
    measures={
        "ok_interval_deviation_percent": Unit.PERCENT,
        "ok_repeats_stop": Unit.BOOL,
        "duplicate_invite_absorbed": Unit.BOOL,
    },
)
async def answer_repeated(bench: PhoneBench, recorder: Recorder) -> None:
    """The ACK is withheld until the 200 has come three times; then an INVITE comes twice."""
    call, invite = bench.call_phone(conduct=Conduct(acknowledges=False))
    final = await bench.take_call(invite)
    if final is None or final.message.status != 200:
        bench.measure_rest(answer_repeated, in_words("the INVITE", final))
        return
    await invite.responses.first(lambda _: len(_times_of_200(invite)) > REPEATS_SEEN, timeout_s=REPEATS_WITHIN_S)
    call.dialog.acknowledge()
    times = _times_of_200(invite)
    worst = deviation(times) if len(times) > REPEATS_SEEN else None
    note = " ".join(f"{(at - times[0]) / 1e9:.3f}" for at in times) + " s"
    if worst is None:
        note = f"the 200 came {len(times)} time(s) within {REPEATS_WITHIN_S:g} s without an ACK (RFC 3261, 13.3.1.4)"
    bench.measure("ok_interval_deviation_percent", worst, note, bench_stall=stall_percent(bench, times))
    await asyncio.sleep(QUIET_S)
    more = len(_times_of_200(invite)) - len(times)
    bench.measure("ok_repeats_stop", more == 0, f"{more} more after the ACK")
    await call.dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)
    await _duplicate_invite(bench)


async def _duplicate_invite(bench: PhoneBench) -> None:
    _, invite = bench.call_phone()
    await invite.response(180, timeout_s=RING_SOON_S)
    bench.endpoint.transport.send(invite.request.raw, invite.peer)
    await asyncio.sleep(0.1)
    final = await bench.take_call(invite)
    tags: set[str] = set()
    for response in invite.responses.all():
        if response.message.status > 100 and (found := tag(response.message, "To")):
            tags.add(found)
    problem = in_words("the INVITE", final) if final is None or final.message.status != 200 else ""
    if len(tags) > 1:
        problem = f"one INVITE that came twice began {len(tags)} dialogs (RFC 3261, 17.2.1)"
    bench.measure("duplicate_invite_absorbed", not problem, problem)


def _times_of_200(invite: ClientTransaction) -> list[int]:
    return [response.at_ns for response in invite.responses.all() if response.message.status == 200]


@procedure(
    "dialog-rules",
    measures={
        "unknown_require_refused": Unit.BOOL,
        "unknown_require_options_refused": Unit.BOOL,
        "unknown_dialog_refused": Unit.BOOL,
        "lower_cseq_refused": Unit.BOOL,
        "cseq_grows_by_one": Unit.BOOL,
    },
)
async def dialog_rules(bench: PhoneBench, recorder: Recorder) -> None:
    """What must be refused, and the numbers of the phone's own requests."""
    await _unknown_require(bench)
    # Only a BYE: what else names a dialog that there is not may also be accepted (RFC 3261, 12.2.2).
    answer = await answer_to_ask(ask(bench, "BYE", to_tag="nobody"))
    words = f"{in_words('a BYE for a dialog that there is not', answer)}; 481 is due (RFC 3261, 15.1.2)"
    bench.measure("unknown_dialog_refused", answer is not None and answer.status == 481, words)
    await _lower_cseq(bench)
    await _own_cseq(bench)


async def _unknown_require(bench: PhoneBench) -> None:
    require = (("Require", NOTHING_TAG),)
    call, invite = bench.call_phone(conduct=Conduct(in_invite=require))
    # Not answered by key: what is not understood must be refused before anybody is asked.
    await invite.response(180, timeout_s=RING_SOON_S)
    invited = await invite.final(timeout_s=0)
    if invited is None:
        call.dialog.cancel()
    for quantity, method, answer in (
        ("unknown_require_refused", "INVITE", invited.message if invited else None),
        ("unknown_require_options_refused", "OPTIONS", await answer_to_ask(ask(bench, "OPTIONS", require))),
    ):
        words = f"{in_words(f'{method} with an unknown Require', answer)}; 420 is due (RFC 3261, 8.2.2.3)"
        right = answer is not None and answer.status == 420
        if answer is not None and right and NOTHING_TAG not in tokens(answer, "Unsupported"):
            right, words = False, f"the 420 to {method} does not name the tag in Unsupported (RFC 3261, 8.2.2.3)"
        bench.measure(quantity, right, words)


async def _lower_cseq(bench: PhoneBench) -> None:
    call = await bench.established_call()
    if call is None:
        bench.measure("lower_cseq_refused", None, "the phone did not take the call")
        return
    await call.dialog.invite().final(timeout_s=REQUEST_TIMEOUT_S)
    answer = await call.dialog.send("BYE", number=1).final(timeout_s=REQUEST_TIMEOUT_S)
    refused = answer is not None and answer.message.status == 500
    words = f"{in_words('a BYE with a CSeq number below the last', answer)}; 500 is due (RFC 3261, 12.2.2)"
    bench.measure("lower_cseq_refused", refused, words)
    await call.dialog.bye().final(timeout_s=REQUEST_TIMEOUT_S)


async def _own_cseq(bench: PhoneBench) -> None:
    call = await talking_call(bench)
    if call is None or call.dialog.invitation is None:
        bench.measure("cseq_grows_by_one", None, "no call of the phone was established")
        return
    await bench.try_key(bench.driver.hang_up)
    bye = await call.dialog.request("BYE", timeout_s=REQUEST_TIMEOUT_S)
    if bye is None:
        bench.measure("cseq_grows_by_one", None, "no BYE came after the hang-up key")
        return
    # All requests of the phone, because one of its own (UPDATE, say) may lie between INVITE and BYE.
    sent = [one.request for one in call.dialog.requests.all() if one.request.method != "CANCEL"]
    numbers = [cseq(request).sequence for request in sent]
    words = ", ".join(f"{request.method} {number}" for request, number in zip(sent, numbers, strict=True))
    right = len(numbers) > 1 and all(later == earlier + 1 for earlier, later in pairwise(numbers))
    bench.measure("cseq_grows_by_one", right, f"CSeq of the phone's requests: {words} (RFC 3261, 12.2.1.1)")
