from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.discover import UNKNOWN, identity_of, registration_of
from agents.drivers.baresip import BaresipDriver
from agents.drivers.operator import OperatorDriver
from lab_inventory.device import IdentityKind, Product, Sighting
from lab_inventory.lab import Slot

DRIVERS = {"baresip": BaresipDriver}


def slot(*, control: str | None = "127.0.0.1:1") -> Slot:
    return Slot.model_validate(
        {
            "name": "slot-1",
            "category": "ip-phone",
            "registrar": "127.0.0.1:2",
            "account": {"user": "1001", "password": "x"},
            "control": control,
            "unit": {"hardware_revision": "B", "mode": "wideband"},
        }
    )


def sighting(user_agent: str = "baresip v1.0.0 (x86_64/linux)", **more: str) -> Sighting:
    return Sighting.model_validate(
        {
            "slot": "slot-1",
            "user_agent": user_agent,
            "contact": "sip:1001@127.0.0.1:3",
            "seen_at": datetime(2026, 1, 1, tzinfo=UTC),
            **more,
        }
    )


def test_a_unit_is_known_by_its_sip_instance_before_its_mac() -> None:
    identity = identity_of(sighting(sip_instance="urn:uuid:1", mac="aa:bb:cc:dd:ee:ff"), "host")
    assert (identity.kind, identity.value, identity.weak) == (IdentityKind.SIP_INSTANCE, "urn:uuid:1", False)


def test_a_unit_without_sip_instance_is_known_by_its_mac() -> None:
    identity = identity_of(sighting(mac="aa:bb:cc:dd:ee:ff"), "host")
    assert (identity.kind, identity.value, identity.weak) == (IdentityKind.MAC, "aa:bb:cc:dd:ee:ff", False)


def test_a_unit_that_says_nothing_of_itself_is_weakly_known_by_its_place() -> None:
    identity = identity_of(sighting(), "host")
    assert (identity.kind, identity.value, identity.weak) == (IdentityKind.SLOT, "host/slot-1", True)


def test_a_slot_that_names_its_driver_gets_that_one_and_the_product_is_still_known() -> None:
    drivers = {**DRIVERS, "operator": OperatorDriver}
    by_hand = slot().model_copy(update={"driver": "operator"})
    registered = registration_of(sighting(), by_hand, "host", drivers)
    assert registered.driver == "operator"
    assert registered.product.firmware == "1.0.0"
    assert registered.driver_in_words() == "The driver operator 1.0 has never been tried on a device."


def test_a_slot_that_names_a_driver_which_is_not_here_gets_no_other() -> None:
    registered = registration_of(sighting(), slot().model_copy(update={"driver": "acme"}), "host", DRIVERS)
    assert registered.driver is None
    assert registered.driver_facts is None


def test_a_registration_without_word_of_its_driver_is_written_as_before() -> None:
    registered = registration_of(sighting(), slot(), "host", DRIVERS)
    assert registered.driver_facts is not None
    assert registered.driver_facts.tried_on
    assert "driver_facts" not in registered.model_copy(update={"driver_facts": None}).model_dump_json()


def test_a_phone_that_a_driver_knows_gets_that_driver() -> None:
    registered = registration_of(sighting(), slot(), "host", DRIVERS)
    assert registered.driver == "baresip"
    assert registered.product == Product(maker="baresip", model="baresip", firmware="1.0.0")


def test_what_no_wire_shows_comes_from_the_lab_file() -> None:
    registered = registration_of(sighting(), slot(), "host", DRIVERS)
    assert (registered.hardware_revision, registered.mode, registered.category) == ("B", "wideband", "ip-phone")


def test_without_a_control_port_there_is_no_driver() -> None:
    assert registration_of(sighting(), slot(control=None), "host", DRIVERS).driver is None


@pytest.mark.parametrize(
    ("user_agent", "product"),
    [
        ("Acme VVX-410/5.9.3", ("Acme", "VVX-410", "5.9.3")),
        ("Acme D785 10.1.73", ("Acme", "D785", "10.1.73")),
        ("softphone 2.1", ("softphone", "softphone", "2.1")),
        ("", (UNKNOWN, UNKNOWN, UNKNOWN)),
    ],
)
def test_a_phone_of_no_driver_is_registered_without_one(user_agent: str, product: tuple[str, str, str]) -> None:
    registered = registration_of(sighting(user_agent), slot(), "host", DRIVERS)
    maker, model, firmware = product
    assert registered.driver is None
    assert registered.product == Product(maker=maker, model=model, firmware=firmware)


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=("Cs",)), max_size=2000))
def test_whatever_a_phone_says_it_can_be_registered(user_agent: str) -> None:
    assert registration_of(sighting(user_agent), slot(), "host", DRIVERS).user_agent == user_agent
