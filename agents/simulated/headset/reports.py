"""The headset's HID report descriptor, byte for byte, and its reports (HID 1.11; Usage Tables). Pure."""

from agents.simulated.headset.behaviour import Behaviour

TELEPHONY_REPORT, VOLUME_REPORT = 1, 2
HOOK_BIT, MUTE_BIT = 1, 2
UP_BIT, DOWN_BIT = 1, 2
LAMPS = ("off-hook", "mute", "ring", "hold")
"""In the order of the bits of output report 1."""

_LAMP_USAGES = (0x17, 0x09, 0x18, 0x20)
_RELATIVE, _ABSOLUTE, _CONSTANT = 0x06, 0x02, 0x03
_LEVEL = 0x22
"""Data, variable, absolute, no preferred state: what stays as it was put."""


def report_descriptor(behaviour: Behaviour) -> bytes:
    """The whole report descriptor: telephony with report 1, volume keys with report 2."""
    hook = bytes((0x09, 0x20, 0x81, _LEVEL)) if behaviour.declares_hook else bytes((0x81, _CONSTANT))
    mute = bytes((0x09, 0x2F, 0x81, _RELATIVE if behaviour.declares_mute_one_shot else _ABSOLUTE))
    telephony = bytes((0x05, 0x0B, 0x09, 0x05, 0xA1, 0x01, 0x85, TELEPHONY_REPORT))  # page, headset, application, id
    bits = bytes((0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x01))  # 0 to 1, size 1, count 1
    pad = bytes((0x95, 0x06, 0x81, _CONSTANT))
    lamps = b"".join(bytes((0x09, one, 0x91, _LEVEL)) for one in _LAMP_USAGES)
    led = bytes((0x05, 0x08, 0x95, 0x01)) + lamps + bytes((0x95, 0x04, 0x91, _CONSTANT))
    end = bytes((0xC0,)) if behaviour.declares_collection_end else b""
    consumer = bytes((0x05, 0x0C, 0x09, 0x01, 0xA1, 0x01, 0x85, VOLUME_REPORT))
    keys = bytes((0x95, 0x02, 0x09, 0xE9, 0x09, 0xEA, 0x81, _ABSOLUTE))
    shown = led if behaviour.declares_leds else b""
    return telephony + bits + hook + mute + pad + shown + end + consumer + bits + keys + pad + bytes((0xC0,))


def telephony(*, off_hook: bool, mute: bool) -> bytes:
    """Input report 1."""
    return bytes((TELEPHONY_REPORT, HOOK_BIT * off_hook | MUTE_BIT * mute))


def volume(*, up: bool, down: bool) -> bytes:
    """Input report 2."""
    return bytes((VOLUME_REPORT, UP_BIT * up | DOWN_BIT * down))


def lamps_of(report: bytes) -> dict[str, bool] | None:
    """What output report 1 asks of the lamps; None for any other bytes."""
    if len(report) != 2 or report[0] != TELEPHONY_REPORT:
        return None
    return {name: bool(report[1] >> bit & 1) for bit, name in enumerate(LAMPS)}
