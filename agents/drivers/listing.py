"""The installed drivers for people: what each can do beside the keys, how a press is, and on what it was tried."""

from dataclasses import dataclass

from agents.drivers import KeyGoesDown, PhoneDriver, Reboots, TellsFirmware, find_drivers, traits_of

NEVER_TRIED = "never tried on a device"
_ALSO = {"reboot": Reboots, "tell its firmware": TellsFirmware}
_MOMENTS = {
    KeyGoesDown.AT_THE_CALL: "at once",
    KeyGoesDown.BEFORE_THE_RETURN: "before it is confirmed",
    KeyGoesDown.UNKNOWN: "at a moment that nobody knows",
}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One driver."""

    driver: str
    version: str
    can_also: tuple[str, ...]
    press_timeout_s: float
    key_goes_down: KeyGoesDown
    tried_on: tuple[str, ...]

    def in_words(self) -> tuple[str, str, str, str, str]:
        """A row of a table."""
        press = f"{_MOMENTS[self.key_goes_down]}, within {self.press_timeout_s:g} s"
        return self.driver, self.version, ", ".join(self.can_also), press, "; ".join(self.tried_on) or NEVER_TRIED


def listed() -> tuple[tuple[Listed, ...], dict[str, str]]:
    """Every installed driver, and by name why one cannot be used."""
    found, broken = find_drivers()
    return tuple(_listed(name, found[name]) for name in sorted(found)), broken


def _listed(name: str, kind: type[PhoneDriver]) -> Listed:
    traits = traits_of(kind)
    return Listed(
        driver=name,
        version=traits.version,
        can_also=tuple(words for words, port in _ALSO.items() if issubclass(kind, port)),
        press_timeout_s=traits.press_timeout_s,
        key_goes_down=traits.key_goes_down,
        tried_on=traits.tried_on,
    )
