"""The suite for USB headsets: its procedures by id, and opening it for a run."""

from agents.drivers.headset import BenchPortHands, HeadsetHands, OperatorHands
from agents.instruments.stall import StallMeter
from agents.instruments.usb.bench_eye import BenchEye, Eye, NoEye
from agents.instruments.usb.linux_port import LinuxPort
from agents.instruments.usb.port import HeadsetPort
from agents.instruments.usb.usbip_port import UsbIpPort
from agents.measure import LabError, Procedure
from agents.suites.usb_headset import descriptors, formats, keys, lamps, mute, plug, sound
from agents.suites.usb_headset.bench import HeadsetBench
from agents.suites.usb_headset.suite import HeadsetSuite
from lab_inventory.clock import Clock
from lab_inventory.lab import Slot
from lab_inventory.messages import Assignment
from lab_inventory.noun import host_and_port

USBIP = "usbip"
"""The driver of a slot whose headset is reached by raw USB/IP at the slot's address, without a kernel."""

PROCEDURES: dict[str, Procedure] = {
    procedure.id: procedure
    for procedure in (
        descriptors.usb_descriptors,
        formats.rates,
        formats.rate_pairs,
        formats.latency,
        keys.hook_and_mute_keys,
        keys.volume_keys,
        keys.no_events_of_its_own,
        lamps.lamps,
        lamps.state_agreement,
        mute.mute_silence,
        mute.mute_survives,
        mute.loudness_controls,
        plug.plug_cycles,
        plug.stays_on_bus,
        sound.loop_sound,
        sound.distortion,
        sound.idle_noise,
        sound.echo,
    )
}


def port_of(slot: Slot) -> HeadsetPort:
    """How the headset of a slot is reached: by this machine's kernel at the slot's USB port, or by raw USB/IP."""
    if slot.driver == USBIP:
        return UsbIpPort(host_and_port(slot.sip[0]))
    return LinuxPort(slot.usb or "")


async def open_headset_suite(assignment: Assignment, clock: Clock) -> HeadsetSuite:
    """Take the slot for a run. Raises LabError where nobody can press the headset's keys."""
    slot = assignment.slot
    if slot.control is None:
        raise LabError(f"the slot {slot.name} names no control: nobody can press the headset's keys")
    hands: HeadsetHands = BenchPortHands(slot.control)
    eye: Eye = BenchEye(slot.control)
    if slot.driver == OperatorHands.name:
        hands, eye = OperatorHands(slot.control, f"The headset in {slot.name}"), NoEye()
    meter = StallMeter()
    meter.start()
    bench = HeadsetBench(
        port=port_of(slot),
        hands=hands,
        eye=eye,
        meter=meter,
        clock=clock,
        ics=assignment.ics,
    )
    return HeadsetSuite(bench=bench, assignment=assignment, procedures=PROCEDURES)
