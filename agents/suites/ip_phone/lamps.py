"""What a person sees of a call and of a message: the lamps of the phone, seen by the host's light program."""

from agents.instruments.sip_transactions import ClientTransaction
from agents.instruments.subscriptions import message_summary
from agents.light import LampWatch, light_program, watching
from agents.measure import LabError, Recorder, procedure
from agents.suites.ip_phone.asking import REQUEST_TIMEOUT_S, in_words
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.mwi import notify_messages
from lab_inventory.measurement import Unit

LAMP_WATCH_S = 6.0


@procedure("ring-lamp", measures={"ring_start_ms": Unit.MILLISECOND})
async def ring_lamp(bench: PhoneBench, recorder: Recorder) -> None:
    """INVITE, and how long until the lamp shows that the phone rings; the call is given up then.

    Raises LabError where nothing sees the lamp, and where it is lit without a call.
    """
    port = bench.light_port
    async with watching(light_program(port), str(port), "ring") as lamp:
        _must_be_dark(lamp)
        call, invite = bench.call_phone()
        await _measure_lamp(bench, "ring_start_ms", lamp, invite, "INVITE")
        await call.dialog.cancel().final(timeout_s=REQUEST_TIMEOUT_S)


@procedure("message-lamp", measures={"lamp_delay_ms": Unit.MILLISECOND})
async def message_lamp(bench: PhoneBench, recorder: Recorder) -> None:
    """NOTIFY that messages wait, and how long until the lamp shows it; then that none wait.

    Raises LabError where nothing sees the lamp, and where it is lit before.
    """
    port = bench.light_port
    async with watching(light_program(port), str(port), "message") as lamp:
        await _told(bench, waiting=0)
        if lamp.lit:  # by an earlier call or message of somebody else's
            await lamp.changes_to(False, timeout_s=LAMP_WATCH_S)
        _must_be_dark(lamp)
        told = notify_messages(bench, *message_summary(waiting=2))
        await _measure_lamp(bench, "lamp_delay_ms", lamp, told, "NOTIFY")
        await told.final(timeout_s=REQUEST_TIMEOUT_S)
        await _told(bench, waiting=0)


async def _told(bench: PhoneBench, *, waiting: int) -> None:
    await notify_messages(bench, *message_summary(waiting=waiting)).final(timeout_s=REQUEST_TIMEOUT_S)


def _must_be_dark(lamp: LampWatch) -> None:
    if lamp.lit:
        raise LabError("the light program sees the lamp lit before anything was sent: is it the phone's lamp?")


async def _measure_lamp(
    bench: PhoneBench, quantity: str, lamp: LampWatch, asked: ClientTransaction, method: str
) -> None:
    sent_ns = asked.sent_ns[0]
    lit_ns = await lamp.changes_to(True, timeout_s=LAMP_WATCH_S)
    if lit_ns is None:
        final = await asked.final(timeout_s=0)
        bench.measure(quantity, None, f"no light within {LAMP_WATCH_S:g} s; {in_words(f'the {method}', final)}")
        return
    if lit_ns < sent_ns - lamp.uncertainty_ms * 1e6:
        raise LabError(f"the lamp was lit before the {method} was sent: is it the phone's lamp?")
    stall = bench.lateness_ms(sent_ns, lit_ns)
    added = lamp.uncertainty_ms
    bench.measure(quantity, max(0.0, (lit_ns - sent_ns) / 1e6), bench_stall=stall, added_uncertainty=added)
