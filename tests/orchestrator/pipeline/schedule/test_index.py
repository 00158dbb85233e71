"""The lab as placing looks at it."""

import small_lab

from orchestrator.pipeline.schedule.index import index


def test_a_run_on_a_unit_takes_the_unit_its_slot_and_the_instruments_that_are_not_shared() -> None:
    hosts = [small_lab.host_view(small_lab.host("host-1", exclusive=True))]
    (unit,) = index(small_lab.snapshot(devices=[small_lab.device()], hosts=hosts)).units[small_lab.key(), "ip-phone"]
    assert unit.resources == ("device:dev-1", "slot:host-1/slot-1", "instrument:bench-of-host-1/sip")
    assert unit.slot is not None


def test_an_instrument_that_is_shared_is_not_taken() -> None:
    (unit,) = index(small_lab.snapshot(devices=[small_lab.device()])).units[small_lab.key(), "ip-phone"]
    assert unit.resources == ("device:dev-1", "slot:host-1/slot-1")


def test_a_unit_whose_slot_is_gone_from_the_lab_file_has_none() -> None:
    (unit,) = index(small_lab.snapshot(devices=[small_lab.device(slot="slot-9")])).units[small_lab.key(), "ip-phone"]
    assert unit.slot is None


def test_the_least_used_unit_comes_first() -> None:
    devices = [small_lab.device("dev-1"), small_lab.device("dev-2", "slot-2"), small_lab.device("dev-3", "slot-3")]
    epochs = {"device:dev-1": 7, "device:dev-3": 2}
    units = index(small_lab.snapshot(devices=devices, epochs=epochs)).units[small_lab.key(), "ip-phone"]
    assert [unit.device.device for unit in units] == ["dev-2", "dev-3", "dev-1"]


def test_units_differ_by_what_they_are_and_by_category() -> None:
    headset = small_lab.registration("slot-2", category="headset")
    devices = [
        small_lab.device("dev-1"),
        small_lab.device("dev-2", "slot-2", registration=headset),
        small_lab.device("dev-3", "slot-3", model="Two"),
    ]
    found = index(small_lab.snapshot(devices=devices))
    assert {(key.model, category) for key, category in found.units} == {
        ("One", "ip-phone"),
        ("One", "headset"),
        ("Two", "ip-phone"),
    }
    assert found.categories[small_lab.key()] == ("headset", "ip-phone")
