"""Waiting messages and subscriptions, as far as the wire shows them (RFC 3842, RFC 6665); the lamp is for a camera."""

from agents.instruments.sip_transactions import ClientTransaction
from agents.instruments.subscriptions import message_summary
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import REQUEST_TIMEOUT_S, ask, in_words
from agents.suites.ip_phone.bench import PhoneBench
from lab_inventory.measurement import Unit


@procedure(
    "message-waiting",
    measures={"mwi_answered_ms": Unit.MILLISECOND, "unknown_event_refused": Unit.BOOL},
)
async def message_waiting(bench: PhoneBench, recorder: Recorder) -> None:
    """A NOTIFY tells of waiting messages, in the phone's subscription where it has one; and one of an unknown event."""
    where = "without a subscription" if bench.notifier.live("message-summary") is None else "in its subscription"
    told = notify_messages(bench, *message_summary(waiting=2))
    final = await told.final(timeout_s=REQUEST_TIMEOUT_S)
    note = f"{in_words('NOTIFY', final)} {where}"
    if final is not None and final.message.status == 200:
        stall = bench.lateness_ms(told.sent_ns[0], final.at_ns)
        bench.measure("mwi_answered_ms", (final.at_ns - told.sent_ns[0]) / 1e6, note, bench_stall=stall)
    else:
        bench.measure("mwi_answered_ms", None, f"{note}; 200 is due (RFC 3842, 4.1; unsolicited: our choice)")
    # Back to the dark, so that the lamp says nothing into the next case.
    await notify_messages(bench, *message_summary(waiting=0)).final(timeout_s=REQUEST_TIMEOUT_S)
    strange = await _notify(bench, "x-assay-nothing", "text/plain", b"x").final(timeout_s=REQUEST_TIMEOUT_S)
    # 481 where the phone looks for the subscription first (RFC 6665, 4.1.3), 489 where for the package (8.2.1).
    right = strange is not None and strange.message.status in {481, 489, 405}
    words = (
        f"{in_words('a NOTIFY of an event that there is not', strange)}; 489 or 481 is due (RFC 6665, 4.1.3 and 8.2.1)"
    )
    bench.measure("unknown_event_refused", right, words)


def notify_messages(bench: PhoneBench, kind: str, body: bytes) -> ClientTransaction:
    """Tell of waiting messages, in the phone's subscription where it has one."""
    subscription = bench.notifier.live("message-summary")
    return subscription.notify(kind, body) if subscription else _notify(bench, "message-summary", kind, body)


def _notify(bench: PhoneBench, event: str, content_type: str, body: bytes) -> ClientTransaction:
    """A NOTIFY that nobody has subscribed to."""
    headers = [("Event", event), ("Subscription-State", "active"), ("Content-Type", content_type)]
    return ask(bench, "NOTIFY", headers, body)
