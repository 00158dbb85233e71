"""Finding drivers: what another package does wrong is told, and takes no other driver with it."""

from importlib.metadata import EntryPoint

import pytest

from agents.drivers import FromSlot, KeyGoesDown, Reboots, TellsFirmware, load_drivers, patience_s, traits_of
from agents.drivers.baresip import BaresipDriver
from agents.drivers.listing import NEVER_TRIED, listed
from agents.drivers.operator import OperatorDriver
from agents.drivers.yealink import YealinkDriver


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group="assay.drivers")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("acme", "no_such_package:Driver", "ModuleNotFoundError"),
        ("acme", "agents.drivers.baresip:NoSuchDriver", "AttributeError"),
        ("acme", "agents.drivers.baresip:BaresipDriver", "has not the name acme"),
        ("acme", "agents.drivers:DriverRefused", "is no class with name and recognises"),
    ],
)
def test_a_driver_that_cannot_be_used_is_told_with_its_reason(name: str, value: str, words: str) -> None:
    good = entry("baresip", "agents.drivers.baresip:BaresipDriver")
    found, broken = load_drivers([entry(name, value), good])
    assert found == {"baresip": BaresipDriver}
    assert words in broken["acme"]


def test_the_drivers_that_come_with_assay_say_what_they_can_and_on_what_they_were_tried() -> None:
    rows = {one.driver: one for one in listed()[0]}
    assert rows["yealink"].can_also == ("reboot", "tell its firmware")
    assert rows["yealink"].in_words()[-1] == NEVER_TRIED
    assert rows["operator"].in_words()[3] == "at a moment that nobody knows, within 120 s"
    assert rows["baresip"].tried_on


def test_what_a_driver_does_not_say_is_the_contracts_default() -> None:
    traits = traits_of(BaresipDriver)
    assert (traits.press_timeout_s, traits.key_goes_down) == (5.0, KeyGoesDown.AT_THE_CALL)
    assert issubclass(YealinkDriver, FromSlot)
    assert issubclass(YealinkDriver, Reboots)
    assert issubclass(YealinkDriver, TellsFirmware)
    assert not issubclass(BaresipDriver, FromSlot)


def test_a_case_is_given_more_time_only_where_a_person_presses_its_keys() -> None:
    assert patience_s(None) == patience_s(BaresipDriver) == patience_s(YealinkDriver) == 0
    assert patience_s(OperatorDriver) == 12 * 115
