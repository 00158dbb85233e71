"""Keys and lamps of the headset: presses become input reports, output reports become light. Owns hook and lamps."""

from collections import deque
from collections.abc import Callable

from agents.simulated.headset.behaviour import Behaviour
from agents.simulated.headset.reports import LAMPS, lamps_of, telephony, volume

REPORTS_MAX = 64
"""Reports that wait for the host; over it the oldest are lost, as they are in a small device."""

KEYS = ("hook", "mute", "volume-up", "volume-down")
Later = Callable[[float, Callable[[], None]], None]
"""``later(seconds, what)``: do it then, or never if the headset is gone."""


class Keys:
    """The keys' side of the headset. ``ready`` is called when a report waits, ``seen`` with what changed."""

    def __init__(self, later: Later, ready: Callable[[], None], seen: Callable[[str, object], None]) -> None:
        self._later = later
        self._ready = ready
        self._seen = seen
        self._waiting: deque[bytes] = deque(maxlen=REPORTS_MAX)
        self.off_hook = False
        self.lamps = dict.fromkeys(LAMPS, False)

    def forget(self) -> None:
        """Unplugged: dark lamps, on hook, no report waits."""
        self._waiting.clear()
        self.off_hook = False
        self.lamps = dict.fromkeys(LAMPS, False)

    def press(self, key: str, behaviour: Behaviour) -> None:
        """Somebody presses one of :data:`KEYS` once."""
        self._seen("pressed", key)
        self._later(behaviour.key_delay_s, lambda: self._report(key, behaviour))

    def report_mute(self) -> None:
        """One press of mute: it is a relative usage, so 1 and then 0."""
        self._send(telephony(off_hook=self.off_hook, mute=True))
        self._send(telephony(off_hook=self.off_hook, mute=False))

    def report_hook(self, off_hook: bool) -> None:
        """The hook has a new level."""
        self.off_hook = off_hook
        self._send(telephony(off_hook=off_hook, mute=False))

    def light(self, report: bytes, behaviour: Behaviour) -> bool:
        """An output report came; False if it is none."""
        asked = lamps_of(report)
        if asked is None:
            return False
        self._later(behaviour.led_delay_s, lambda: self._shine(asked, behaviour))
        return True

    def take(self) -> bytes | None:
        """The oldest report that waits."""
        return self._waiting.popleft() if self._waiting else None

    def current(self, report_id: int) -> bytes:
        """The answer to GET_REPORT (HID 1.11, 7.2.1)."""
        if report_id == 1:
            return telephony(off_hook=self.off_hook, mute=False)
        return volume(up=False, down=False)

    def _report(self, key: str, behaviour: Behaviour) -> None:
        if key == "hook":
            if not behaviour.hook_reports:
                return
            for _ in range(1 + 2 * behaviour.hook_bounces):
                self.report_hook(not self.off_hook)
            if not behaviour.hook_level:
                self.report_hook(not self.off_hook)
        elif key == "mute":
            for _ in range(behaviour.mute_key_reports):
                self.report_mute()
        else:
            up = (key == "volume-up") == behaviour.volume_keys_right
            for _ in range(behaviour.volume_key_reports):
                self._send(volume(up=up, down=not up))
                self._send(volume(up=False, down=False))

    def _shine(self, asked: dict[str, bool], behaviour: Behaviour) -> None:
        works = {
            "off-hook": behaviour.obeys_led_off_hook,
            "mute": behaviour.obeys_led_mute,
            "ring": behaviour.obeys_led_ring,
            "hold": behaviour.obeys_led_hold,
        }
        shown = {name: lit and works[name] for name, lit in asked.items()}
        if shown != self.lamps:
            self.lamps = shown
            self._seen("lamps", dict(shown))

    def _send(self, report: bytes) -> None:
        self._waiting.append(report)
        self._ready()
