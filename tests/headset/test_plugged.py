"""Headsets at the USB ports of a lab host without a Ray node, as the orchestrator comes to know them."""

from tests.headset.usb_lab import UsbLab, until


def test_a_headset_that_is_plugged_in_is_registered_with_what_its_descriptors_say(headsets: UsbLab) -> None:
    found = headsets.present()
    assert {slot: one["identity"] for slot, one in found.items()} == {
        "headset-1": "1209:0001:VH0001", "headset-2": "1209:0001:VH0002",
    }  # fmt: skip
    one = found["headset-1"]
    assert (one["identity_kind"], one["maker"], one["model"], one["firmware"], one["category"], one["state"]) == (
        "usb-serial", "Virtual Lab", "Virtual Headset", "1.23", "usb-headset", "idle",
    )  # fmt: skip


def test_a_headset_that_is_held_is_missed_when_it_is_pulled_and_still_held_when_it_is_back(headsets: UsbLab) -> None:
    unit = headsets.present()["headset-1"]["device"]
    headsets.call("POST", f"/v1/devices/{unit}/hold", {"reason": "cable loose"})
    headsets.bench("headset-1", "unplug")
    until("it is missed", lambda: "headset-1" not in headsets.present())
    headsets.bench("headset-1", "plug")
    back = until("it is back", lambda: headsets.present().get("headset-1"))
    headsets.call("POST", f"/v1/devices/{unit}/release")
    assert (back["device"], back["intent"], back["state"]) == (unit, "held", "held")


def test_a_headset_whose_firmware_hangs_is_a_ghost_until_it_answers_again(headsets: UsbLab) -> None:
    headsets.defects("headset-1", hangs=1)
    until("the ghost is found", lambda: headsets.faults().get("headset-1") == "ghost")
    assert "headset-1" not in headsets.present()
    headsets.defects("headset-1")
    until("it is back", lambda: "headset-1" in headsets.present())


def test_twins_are_told_apart_by_their_ports_and_flagged(headsets: UsbLab) -> None:
    for slot in headsets.slots:
        headsets.bench(slot, "unplug")
        headsets.defects(slot, serial_shared=1)
    until("both are missed", lambda: not headsets.present())
    for slot in headsets.slots:
        headsets.bench(slot, "plug")
    until("both are flagged", lambda: list(headsets.faults().values()) == ["serial-shared"] * 2)
    found = until("both are there", lambda: len(headsets.present()) == 2 and headsets.present())
    assert {one["identity"] for one in found.values()} == {"usb-host/headset-1", "usb-host/headset-2"}
    for slot in headsets.slots:
        headsets.bench(slot, "unplug")
    until("both are missed", lambda: not headsets.present())
