"""The HID usages of a headset (HID Usage Tables 1.x: pages 0x08, 0x0B and 0x0C), as page * 65536 + number. Pure."""

TELEPHONY_PAGE, LED_PAGE, CONSUMER_PAGE = 0x0B, 0x08, 0x0C


def usage(page: int, number: int) -> int:
    """One 32-bit usage from its page and its number (HID 1.11, 6.2.2.8)."""
    return page << 16 | number


HEADSET = usage(TELEPHONY_PAGE, 0x05)
HOOK_SWITCH = usage(TELEPHONY_PAGE, 0x20)
PHONE_MUTE = usage(TELEPHONY_PAGE, 0x2F)
LED_MUTE = usage(LED_PAGE, 0x09)
LED_OFF_HOOK = usage(LED_PAGE, 0x17)
LED_RING = usage(LED_PAGE, 0x18)
LED_HOLD = usage(LED_PAGE, 0x20)
CONSUMER_CONTROL = usage(CONSUMER_PAGE, 0x01)
VOLUME_UP = usage(CONSUMER_PAGE, 0xE9)
VOLUME_DOWN = usage(CONSUMER_PAGE, 0xEA)

_NAMES = {
    HEADSET: "headset", HOOK_SWITCH: "hook switch", PHONE_MUTE: "phone mute", LED_MUTE: "LED mute",
    LED_OFF_HOOK: "LED off-hook", LED_RING: "LED ring", LED_HOLD: "LED hold",
    CONSUMER_CONTROL: "consumer control", VOLUME_UP: "volume up", VOLUME_DOWN: "volume down",
}  # fmt: skip


def usage_name(code: int) -> str:
    """The name of a usage for people, or ``page 0x.. usage 0x..``."""
    return _NAMES.get(code, f"page 0x{code >> 16:02x} usage 0x{code & 0xFFFF:02x}")
