"""What any user agent does with any request: routes, hops, methods that it does not know, and how soon it answers."""

from agents.instruments.conduct import Conduct
from agents.instruments.sip_message import Request, SipMessage
from agents.instruments.sip_values import split_list
from agents.measure import Recorder, procedure
from agents.suites.ip_phone.asking import REQUEST_TIMEOUT_S, answer_to_ask, ask, dialled_call, here, in_words
from agents.suites.ip_phone.bench import RING_SOON_S, PhoneBench
from lab_inventory.measurement import Unit

UNKNOWN_METHOD = "ASSAY"


@procedure("loose-routing", measures={"route_set_called": Unit.BOOL, "route_set_calling": Unit.BOOL})
async def loose_routing(bench: PhoneBench, recorder: Recorder) -> None:
    """Two proxies (both the bench) record their route in a call of the bench and in one of the phone."""
    route = [f"<{here(bench)};lr;hop=1>", f"<{here(bench)};lr;hop=2>"]
    headers = tuple(("Record-Route", one) for one in route)
    call = await bench.established_call(conduct=Conduct(in_invite=headers))
    if call is None:
        bench.measure("route_set_called", None, "the phone did not take the call")
    else:
        await bench.try_key(bench.driver.hang_up)
        bye = await call.dialog.request("BYE", timeout_s=REQUEST_TIMEOUT_S)
        problems = route_problems(bye.request if bye else None, due=route, target=here(bench))
        bench.measure("route_set_called", not problems, "; ".join(problems))
    call = await dialled_call(bench)
    if call is None or call.dialog.invitation is None:
        bench.measure("route_set_calling", None, "no INVITE came")
        return
    call.dialog.accept(headers)
    ack = await call.dialog.invitation.acknowledged(timeout_s=REQUEST_TIMEOUT_S)
    await bench.try_key(bench.driver.hang_up)
    bye = await call.dialog.request("BYE", timeout_s=REQUEST_TIMEOUT_S)
    problems = []
    for request in (ack.message if ack else None, bye.request if bye else None):
        problems += route_problems(request, due=route[::-1], target=here(bench))
    bench.measure("route_set_calling", not problems, "; ".join(problems))


def route_problems(request: Request | None, *, due: list[str], target: str) -> list[str]:
    """What is wrong with the route of a request within a dialog: the set as recorded, the peer's Contact as URI."""
    if request is None:
        return ["no ACK or no BYE came, so that no route was seen (RFC 3261, 12.2.1.1)"]
    problems: list[str] = []
    found = routes(request)
    if [_bare(one) for one in found] != [_bare(one) for one in due]:
        problems.append(
            f"{request.method} has Route {', '.join(found) or 'none'}, due is {', '.join(due)} (RFC 3261, 12.2.1.1)"
        )
    if request.uri != target:
        problems.append(f"{request.method} goes to {request.uri}, the peer's Contact is {target} (RFC 3261, 12.2.1.1)")
    return problems


def routes(message: SipMessage) -> list[str]:
    """The items of all Route headers, in order."""
    return [item for value in message.get_all("Route") for item in split_list(value)]


def _bare(route: str) -> str:
    """A route without its angle brackets and display name, parameters in order."""
    return route.partition("<")[2].partition(">")[0] or route


@procedure(
    "request-rules",
    measures={
        "first_response_ms": Unit.MILLISECOND,
        "last_hop_answered": Unit.BOOL,
        "unknown_method_refused": Unit.BOOL,
        "message_answered": Unit.BOOL,
    },
)
async def request_rules(bench: PhoneBench, recorder: Recorder) -> None:
    """How soon an INVITE gets any response; OPTIONS at its last hop; a method that there is not; a MESSAGE."""
    call, invite = bench.call_phone()
    first = await invite.responses.first(lambda _: True, timeout_s=RING_SOON_S)
    if first is None:
        bench.measure("first_response_ms", None, f"nothing came within {RING_SOON_S:g} s (RFC 3261, 17.2.1)")
    else:
        stall = bench.lateness_ms(invite.sent_ns[0], first.at_ns)
        took_ms = (first.at_ns - invite.sent_ns[0]) / 1e6
        bench.measure("first_response_ms", took_ms, in_words("the INVITE", first), bench_stall=stall)
    if not call.dialog.established:
        call.dialog.cancel()
    await invite.final(timeout_s=REQUEST_TIMEOUT_S)

    answer = await answer_to_ask(ask(bench, "OPTIONS", max_forwards=0))
    words = f"{in_words('OPTIONS with Max-Forwards 0', answer)}; who is the last hop answers (RFC 3261, 11 and 16.3)"
    # 483 is for who would have to forward; the phone is whom the request is for.
    bench.measure("last_hop_answered", answer is not None and answer.status != 483, words)

    answer = await answer_to_ask(ask(bench, UNKNOWN_METHOD))
    allow = answer.get("Allow") if answer else None
    # 405 is for a method that is known and not taken, 501 for one that is not known (RFC 3261, 8.2.1 and 21.5.2).
    right = answer is not None and (answer.status == 501 or (answer.status == 405 and bool(allow)))
    words = f"{in_words(f'method {UNKNOWN_METHOD}', answer)}, Allow: {allow or 'none'}"
    bench.measure(
        "unknown_method_refused", right, f"{words}; 501, or 405 with Allow is due (RFC 3261, 8.2.1 and 21.5.2)"
    )

    answer = await answer_to_ask(ask(bench, "MESSAGE", [("Content-Type", "text/plain")], b"Assay asks."))
    # Taken, or refused in the way that says what is taken instead (RFC 3428, 7; RFC 3261, 8.2.1 and 8.2.3).
    refusal = {405: "Allow", 415: "Accept"}.get(answer.status) if answer else None
    right = answer is not None and (
        answer.status in {200, 202, 501} or (refusal is not None and bool(answer.get(refusal)))
    )
    words = f"{in_words('MESSAGE', answer)}; 200, or 405 with Allow, or 415 with Accept, or 501 is due"
    bench.measure("message_answered", right, f"{words} (RFC 3428, 7; RFC 3261, 8.2.1 and 8.2.3)")
