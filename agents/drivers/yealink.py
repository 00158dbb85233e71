"""Drives Yealink desk phones through their "Action URI": one HTTP GET for each key.

Nobody has tried it on a device. What each request does is taken from these manuals of the maker, as far as they could
be read. What is on no page that was read is to be verified on a device: it is marked *from memory*, or *as others do*
where public programs of others send the same request:

- [A] "Administrator's Guide for SIP-T2 Series/T4 Series/T5 Series/CP920 IP Phones": page 459 (``CALLEND``, calls by
  their id, ``features.action_uri_limit_ip``), and page 477 of a later edition (``F_HOLD``, ``F_TRANSFER``, several
  values in one request, the account of the web interface)
- [B] "Administrator's Guide for SIP-T5 Series Smart Media Phones": page 546 (``ASW``, ``phonecfg=get``), and page 560
  of a later edition (what a phone calls itself)
- [C] "Administrator's Guide for SIP-T2 Series/T19(P) E2/T4 Series/CP860 IP Phones": page 554 (the form of the request;
  the phone carries it out and answers 200)
- [D] the administrator's guides of the CP960, page 443, and of the T5 series, page 371: a phone takes such requests
  only from addresses on its list, and asks "Allow remote control?" the first time

Phones of an older kind want the account in the address of each request instead ([B], page 546). That is not done here:
addresses are logged everywhere. Such a phone answers with a page to log in, which is a refusal.

Before it works, the address of the lab host has to stand in the phone's list (web interface: Features, Remote Control,
Action URI Allow IP List) and the question on the phone's screen has to be answered with yes, once.
"""

import asyncio
import re
from typing import ClassVar, Self
from urllib.parse import quote

from agents.drivers import PRESS_TIMEOUT_S, DriverRefused, DriverUnreachable, KeyGoesDown, Server
from agents.drivers.http_control import HttpControl
from agents.words import as_text
from lab_inventory.device import Product
from lab_inventory.lab import Account, ControlTls, Slot

CALLS_MAX = 4
_USER_AGENT = re.compile(r"^Yealink ((?:SIP-)?[A-Z0-9][\w().-]{0,30}(?: E2)?) ([0-9]{1,8}(?:\.[0-9]{1,8}){2,5})\b")
_CALLABLE = re.compile(r"[A-Za-z0-9+*#._~\[\]-]+(@[A-Za-z0-9.\[\]:-]+)?")
_KEYS = {digit: digit for digit in "0123456789"} | {"*": "*", "#": "POUND"}
_ALLOWS = "is this host on its Action URI Allow IP List, and is the question on its screen answered?"


class YealinkDriver:
    """Presses the keys of one Yealink phone. ``account``: of its web interface; ``caller``: the phone's own SIP URI."""

    name: ClassVar[str] = "yealink"
    version: ClassVar[str] = "1.0"
    tried_on: ClassVar[tuple[str, ...]] = ()
    key_goes_down: ClassVar[KeyGoesDown] = KeyGoesDown.BEFORE_THE_RETURN
    """The phone "will perform the specified action and respond with a 200 OK message" ([C], page 554)."""

    def __init__(
        self, control: str, *, account: Account | None = None, tls: ControlTls | None = None, caller: str = ""
    ) -> None:
        self._control = HttpControl(control, account, tls, allows=_ALLOWS)
        self._caller = caller

    @classmethod
    def of_slot(cls, slot: Slot) -> Self:
        """With the account of the slot's control; it calls from the account that registers at the slot's registrar."""
        if slot.control is None:
            raise DriverUnreachable(f"slot {slot.name} has no control address in the lab file")
        registrar, account = slot.sip
        caller = f"{account.user}@{registrar}"
        return cls(slot.control, account=slot.control_account, tls=slot.control_tls, caller=caller)

    @staticmethod
    def recognises(user_agent: str) -> Product | None:
        """``Yealink T58 58.80.0.5``, as in the example of [B], page 560."""
        match = _USER_AGENT.match(user_agent)
        return Product(maker="Yealink", model=match[1], firmware=match[2]) if match else None

    async def open(self) -> None:
        """See that the phone's web interface is there."""
        await self._control.reach()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._control.close()

    async def dial(self, uri: str) -> None:
        """``number=xxx&outgoing_uri=y``, as others do. That ``xxx`` may be a URI without its scheme is from memory."""
        caller = f"&outgoing_uri={quote(self._caller, safe='@:')}" if self._caller else ""
        await self._press(f"number={_callable(uri)}{caller}")

    async def answer(self) -> None:
        """``ASW``, without the id of a call ([B], page 546, in an example that answers and mutes)."""
        await self._press("ASW")

    async def hang_up(self) -> None:
        """``CALLEND`` ends a call ([A], page 459). That it also refuses one that rings is from memory."""
        await self._press("CALLEND")

    async def hold(self) -> None:
        """``F_HOLD`` ([A], page 477)."""
        await self._press("F_HOLD")

    async def resume(self) -> None:
        """``F_HOLD`` again, from memory. ``UNHOLD:id`` ([A], page 459) needs the call's id, which only events tell."""
        await self._press("F_HOLD")

    async def press_keys(self, digits: str) -> None:
        """One request for each: ``0`` to ``9``, ``*`` and ``POUND``, from memory; letters are not on these phones.

        Several values in one request, with semicolons between them, would not do on every model ([A], page 477).
        """
        unknown = sorted(set(digits) - set(_KEYS))
        if unknown:
            raise DriverRefused(f"a Yealink phone has no key {' '.join(unknown)}")
        try:
            async with asyncio.timeout(PRESS_TIMEOUT_S - 0.5):
                for digit in digits:
                    await self._press(_KEYS[digit])
        except TimeoutError as error:
            raise DriverUnreachable(f"the phone did not take {digits} within {PRESS_TIMEOUT_S - 0.5:g} s") from error

    async def transfer(self, uri: str) -> None:
        """``BTrans=xxx``, from memory."""
        await self._press(f"BTrans={_callable(uri)}")

    async def consult(self, uri: str) -> None:
        """``ATrans=xxx``, from memory."""
        await self._press(f"ATrans={_callable(uri)}")

    async def complete_transfer(self) -> None:
        """``F_TRANSFER`` ([A], page 477); that it completes what ``ATrans`` began is from memory."""
        await self._press("F_TRANSFER")

    async def use_server(self, server: Server | None) -> None:
        """Refused: no such request enters an account. There is never one to take out again."""
        if server is not None:
            raise DriverRefused("no request of a Yealink phone that this driver knows enters another SIP server")

    async def reset(self) -> None:
        """``CALLEND`` as often as there can be calls; that it does nothing without one is from memory."""
        try:
            async with asyncio.timeout(PRESS_TIMEOUT_S - 0.5):
                for _ in range(CALLS_MAX):
                    await self._press("CALLEND")
        except TimeoutError as error:
            raise DriverUnreachable(f"the phone was not reset within {PRESS_TIMEOUT_S - 0.5:g} s") from error

    async def reboot(self) -> None:
        """``Reboot``, as others do."""
        await self._press("Reboot")

    async def firmware(self) -> str:
        """What ``phonecfg=get[&accounts=0][&dnd=0][&fw=0]`` tells, brackets and all ([B], page 546), as it comes.

        The pages that were read do not say in which form, so it is not taken apart.
        """
        body = await self._control.get("/servlet?phonecfg=get[&accounts=0][&dnd=0][&fw=0]")
        return as_text(body.decode(errors="replace")).strip()

    async def _press(self, value: str) -> None:
        """``/servlet?key=value`` ([C], page 554)."""
        await self._control.get(f"/servlet?key={value}")


def _callable(uri: str) -> str:
    """A SIP URI as these requests take it: without its scheme and parameters."""
    called = uri.partition(":")[2].partition(";")[0] if uri.startswith(("sip:", "sips:")) else uri
    if not _CALLABLE.fullmatch(called):
        raise DriverRefused(f"{uri!r} cannot be dialled through a request")
    return quote(called, safe="@:*+")
