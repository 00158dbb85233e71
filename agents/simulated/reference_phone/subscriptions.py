"""Subscriptions (RFC 6665): to the phone's calls (RFC 4235), and the phone's own to its message waiting (RFC 3842)."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from agents.simulated.reference_phone.addresses import address, cseq, sip_uri, tag
from agents.simulated.reference_phone.call import Call, CallState
from agents.simulated.reference_phone.dialog import Dialog
from agents.simulated.reference_phone.equipment import USER_AGENT, Equipment
from agents.simulated.reference_phone.message import Message, Unreadable
from agents.simulated.reference_phone.transactions import ServerTransaction

EXPIRES_S = 3600
RETRY_S = 30.0
SUBSCRIPTIONS_MAX = 8
EVENTS = ("dialog",)
_NUMBER = re.compile(r"[0-9]{1,9}")
_STATES = {CallState.CALLING: "trying", CallState.RINGING: "early", CallState.TALKING: "confirmed"}


def event_of(asked: Message) -> str:
    """The event package, in lower case."""
    return asked.get("Event").partition(";")[0].strip().lower()


@dataclass(kw_only=True)
class _Watcher:
    dialog: Dialog
    event: str
    ends_s: float
    version: int = -1


class Subscriptions:
    """Those who watch the phone's calls. ``calls`` gives what is to be told."""

    def __init__(self, equipment: Equipment, calls: Callable[[], list[Call]]) -> None:
        self._equipment = equipment
        self._calls = calls
        self._watchers: list[_Watcher] = []

    def take(self, server: ServerTransaction) -> None:
        """A SUBSCRIBE; raises Unreadable."""
        asked = server.request
        if event_of(asked) not in EVENTS:
            own = ("Allow-Events", ", ".join(EVENTS))
            server.respond(489, own, to_tag=self._equipment.clock.new_id("t"))
            return
        watcher = next((found for found in self._watchers if found.dialog.fits(asked)), None)
        if watcher is None and tag(asked, "To"):
            server.respond(481)
            return
        if watcher is None and len(self._watchers) >= SUBSCRIPTIONS_MAX:
            server.respond(480, to_tag=self._equipment.clock.new_id("t"))
            return
        if watcher is None:
            watcher = _Watcher(dialog=self._dialog(asked), event=asked.get("Event"), ends_s=0.0)
            self._watchers.append(watcher)
        elif not watcher.dialog.is_in_order(asked):
            server.respond(500)
            return
        text = asked.get("Expires")
        seconds = min(int(text), EXPIRES_S) if _NUMBER.fullmatch(text) else EXPIRES_S
        watcher.ends_s = asyncio.get_running_loop().time() + seconds
        contact = ("Contact", watcher.dialog.contact)
        server.respond(200, ("Expires", str(seconds)), contact, to_tag=watcher.dialog.local_tag)
        self._equipment.spawn(self._notify(watcher))

    def _dialog(self, asked: Message) -> Dialog:
        local_tag = self._equipment.clock.new_id("t")
        target = address(asked, "Contact").uri
        sip_uri(target)
        return Dialog(
            call_id=asked.get("Call-ID"),
            local=f"{asked.get('To')};tag={local_tag}",
            remote=asked.get("From"),
            local_tag=local_tag,
            remote_tag=tag(asked, "From"),
            target=target,
            behaviour=self._equipment.behaviour,
            user_agent=USER_AGENT,
            contact=f"<{self._equipment.contact_uri}>",
            caller=False,
            routes=asked.all("Record-Route"),
            remote_number=cseq(asked)[0],
        )

    def changed(self) -> None:
        """A call has changed its state: tell every watcher."""
        for watcher in list(self._watchers):
            self._equipment.spawn(self._notify(watcher))

    async def _notify(self, watcher: _Watcher) -> None:
        left_s = round(watcher.ends_s - asyncio.get_running_loop().time())
        state = f"active;expires={left_s}" if left_s > 0 else "terminated;reason=timeout"
        if left_s <= 0 and watcher in self._watchers:
            self._watchers.remove(watcher)
        watcher.version += 1
        headers = [("Event", watcher.event), ("Subscription-State", state)]
        headers.append(("Content-Type", "application/dialog-info+xml"))
        try:
            notify = watcher.dialog.request("NOTIFY", *headers, body=self._body(watcher.version))
            hop = self._equipment.next_hop(watcher.dialog.next_uri)
            final = await self._equipment.endpoint.ask(notify, hop).final()
        except (Unreadable, OSError):
            final = None
        if (final is None or final.status >= 300) and watcher in self._watchers:
            self._watchers.remove(watcher)  # who does not take a NOTIFY watches no more (RFC 6665, 4.2.2)

    def _body(self, version: int) -> bytes:
        """Every call, always the whole state (RFC 4235, 4)."""
        lines = ['<?xml version="1.0"?>']
        entity = quoteattr(self._equipment.address_of_record)
        space = "urn:ietf:params:xml:ns:dialog-info"
        lines.append(f'<dialog-info xmlns="{space}" version="{version}" state="full" entity={entity}>')
        for call in self._calls():
            dialog = call.dialog
            way = "initiator" if dialog.caller else "recipient"
            tags = f"local-tag={_attribute(dialog.local_tag)} remote-tag={_attribute(dialog.remote_tag)}"
            name = _attribute(dialog.call_id)
            lines.append(f'  <dialog id={name} call-id={name} {tags} direction="{way}">')
            lines.append(f"    <state>{_STATES.get(call.state, 'terminated')}</state>")
            lines.append("  </dialog>")
        return "\n".join([*lines, "</dialog-info>", ""]).encode()


def _attribute(text: str) -> str:
    """Quoted for XML, which cannot have every character that a peer may send."""
    return quoteattr("".join(char if char.isprintable() else "?" for char in text))


class MessageWaiting:
    """The phone's own subscription to the messages of its account, at its registrar; refreshed until it ends."""

    def __init__(self, equipment: Equipment) -> None:
        host, port = equipment.settings.registrar
        local_tag = equipment.clock.new_id("t")
        self._equipment = equipment
        self._dialog = Dialog(
            call_id=equipment.clock.new_id("mwi"),
            local=f"<{equipment.address_of_record}>;tag={local_tag}",
            remote=f"<{equipment.address_of_record}>",
            local_tag=local_tag,
            remote_tag="",
            target=f"sip:{equipment.settings.user}@{host}:{port}",
            behaviour=equipment.behaviour,
            user_agent=USER_AGENT,
            contact=f"<{equipment.contact_uri}>",
            caller=True,
        )

    async def keep(self) -> None:
        """Subscribe, and refresh at 0.7 of what is granted. Until cancelled."""
        while True:
            final = await self._subscribe()
            granted = final.get("Expires") if final is not None and final.status in (200, 202) else ""
            seconds = int(granted) if _NUMBER.fullmatch(granted) else 0
            await asyncio.sleep(seconds * 0.7 if seconds else RETRY_S)

    async def _subscribe(self) -> Message | None:
        equipment = self._equipment
        try:
            for _ in range(2):
                own = [("Event", "message-summary"), ("Accept", "application/simple-message-summary")]
                own += [("Expires", str(EXPIRES_S)), *equipment.credentials.headers("SUBSCRIBE", self._dialog.target)]
                subscribe = self._dialog.request("SUBSCRIBE", *own)
                hop = equipment.next_hop(self._dialog.next_uri, first=True)
                final = await equipment.endpoint.ask(subscribe, hop).final()
                if final is None or final.status not in (401, 407) or equipment.credentials.take(final) is None:
                    break
            if final is not None and final.status in (200, 202):
                self._dialog.learn(final)
        except (Unreadable, OSError):
            return None
        return final

    def owns(self, notify: Message) -> bool:
        """Whether a NOTIFY belongs to it: it may come before the 200. Raises Unreadable."""
        dialog = self._dialog
        return (notify.get("Call-ID"), tag(notify, "To")) == (dialog.call_id, dialog.local_tag)
