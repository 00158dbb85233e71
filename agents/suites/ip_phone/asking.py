"""What several procedures need: a request outside of a call, a call that the phone dials, and answers in words."""

from collections.abc import Awaitable, Callable, Sequence

from agents.instruments.dialog import expecting_calls
from agents.instruments.sip_endpoint import ALLOW
from agents.instruments.sip_message import Response
from agents.instruments.sip_transactions import ClientTransaction
from agents.instruments.sip_transport import Received
from agents.suites.ip_phone.bench import PhoneBench
from agents.suites.ip_phone.call import Call

INVITE_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 3.0


def ask(
    bench: PhoneBench,
    method: str,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    to_tag: str | None = None,
    max_forwards: int = 70,
) -> ClientTransaction:
    """Send a request of a Call-ID of its own to the phone's registered contact."""
    binding = bench.registered()
    host, port = bench.endpoint.address
    own = [
        ("Via", bench.endpoint.via()),
        ("Max-Forwards", str(max_forwards)),
        ("From", f"<sip:bench@{host}:{port}>;tag={bench.clock.new_id('t')}"),
        ("To", f"<{binding.uri}>{f';tag={to_tag}' if to_tag else ''}"),
        ("Call-ID", bench.clock.new_id("ask")),
        ("CSeq", f"1 {method}"),
        ("Contact", f"<sip:bench@{host}:{port}>"),
        ("Allow", ALLOW),
    ]
    return bench.endpoint.send_request(method, binding.uri, [*own, *headers], peer=binding.peer, body=body)


async def answer_to_ask(asked: ClientTransaction) -> Response | None:
    """The final answer; None where none came in time."""
    final = await asked.final(timeout_s=REQUEST_TIMEOUT_S)
    asked.stop()
    return final.message if final else None


def in_words(what: str, answer: Response | Received[Response] | None) -> str:
    """``BYE was answered 481``, or that it was not answered at all."""
    message = answer.message if isinstance(answer, Received) else answer
    return f"{what} was answered {message.status if message else 'not at all'}"


def here(bench: PhoneBench, user: str = "bench") -> str:
    """A SIP URI at which the bench itself is called."""
    host, port = bench.endpoint.address
    return f"sip:{user}@{host}:{port}"


async def dialled_call(
    bench: PhoneBench, user: str = "bench", *, press: Callable[[str], Awaitable[None]] | None = None
) -> Call | None:
    """Let the phone dial the bench (by ``press``, else by its call key): its call, not yet answered, or None."""
    port, audio = bench.open_call_audio()
    with expecting_calls(bench.endpoint, audio=audio) as arrived:
        await (press or bench.driver.dial)(here(bench, user))
        dialog = await arrived.first(lambda _: True, timeout_s=INVITE_TIMEOUT_S)
    if dialog is None:
        port.close()
        return None
    call = Call(dialog, port, audio)
    bench.calls.append(call)
    return call


async def talking_call(bench: PhoneBench, user: str = "bench") -> Call | None:
    """Let the phone dial the bench and take the call; None where none came or the 200 was not acknowledged."""
    call = await dialled_call(bench, user)
    if call is None or call.dialog.invitation is None:
        return None
    call.dialog.ring()
    call.dialog.accept()
    ack = await call.dialog.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S)
    return call if ack is not None else None
