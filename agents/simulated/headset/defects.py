"""What can be wrong with the headset: each defect changes one point of its :class:`Behaviour`. Pure.

A defect with a size is linear in it, and nothing is wrong at size 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agents.simulated.headset.behaviour import HEALTHY, Behaviour
from lab_inventory.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadsetDefect:
    """One defect. ``wrong`` is a sentence with its clause where there is one.

    Without ``unit`` the ``field`` becomes ``value``; with one it grows from its healthy value by ``slope`` for each
    unit of the size, and ``usual`` is a size that shows it clearly.
    """

    slug: str
    wrong: str
    field: str
    value: bool | int = False
    unit: str | None = None
    slope: float = 1.0
    usual: float = 1.0

    def change(self, behaviour: Behaviour, size: float) -> Behaviour:
        """``behaviour`` with this defect in ``size``."""
        if self.unit is None:
            return replace(behaviour, **{self.field: self.value})  # type: ignore[arg-type]
        healthy = getattr(HEALTHY, self.field)
        grown = healthy + self.slope * size
        return replace(behaviour, **{self.field: round(grown) if isinstance(healthy, int) else grown})


def _plain(slug: str, field: str, value: bool | int, wrong: str) -> HeadsetDefect:
    return HeadsetDefect(slug=slug, wrong=wrong, field=field, value=value)


def _sized(slug: str, field: str, unit: str, usual: float, slope: float, wrong: str) -> HeadsetDefect:
    return HeadsetDefect(slug=slug, wrong=wrong, field=field, unit=unit, usual=usual, slope=slope)


_DESCRIPTORS = (
    _sized("descriptor-total-length", "configuration_length_excess", "bytes", 4, 1,
           "wTotalLength of the configuration is too large (USB 2.0, 9.6.3)"),
    _sized("descriptor-interface-count", "interface_count_excess", "count", 1, 1,
           "bNumInterfaces is too large (USB 2.0, 9.6.3)"),
    _sized("descriptor-control-length", "control_length_excess", "bytes", 2, 1,
           "wTotalLength of the audio control block is too large (UAC1, 4.3.2)"),
    _sized("descriptor-hid-length", "hid_length_excess", "bytes", 3, 1,
           "the HID descriptor tells another length of the report descriptor (HID 1.11, 6.2.1)"),
    _sized("descriptor-rate-count", "rate_count_excess", "count", 1, 1,
           "bSamFreqType is larger than the list of rates (Audio Data Formats 1.0, 2.2.5)"),
    _plain("descriptor-dangling-source", "speaker_source", 9,
           "the output terminal is fed by a unit that does not exist (UAC1, 4.3.2.2)"),
    _plain("descriptor-short-endpoint", "audio_endpoint_bytes", 7,
           "the audio endpoints have no bRefresh and bSynchAddress (UAC1, 4.6.1.1)"),
    _plain("terminal-type-generic", "terminal_type", 0x0400,
           "the terminals do not say headset (USB terminal types 1.0, 2.4)"),
    _plain("serial-missing", "tells_serial", False, "there is no serial number (USB 2.0, 9.6.1)"),
    _plain("serial-shared", "own_serial", False, "all units have one serial number (USB 2.0, 9.6.1)"),
    _plain("release-missing", "tells_release", False, "bcdDevice is 0 whatever the firmware (USB 2.0, 9.6.1)"),
    _plain("string-cut", "whole_strings", False, "strings end within a character (USB 2.0, 9.6.7)"),
    _plain("hid-hook-undeclared", "declares_hook", False, "no hook switch is declared (HID Usage Tables, 0x0B 0x20)"),
    _plain("hid-mute-as-level", "declares_mute_one_shot", False,
           "mute is declared as a level though it is a press (HID Usage Tables, 0x0B 0x2F)"),
    _plain("hid-leds-undeclared", "declares_leds", False, "no LED is declared (HID Usage Tables, 0x08)"),
    _plain("hid-collection-open", "declares_collection_end", False,
           "a collection of the report descriptor is not ended (HID 1.11, 6.2.2.6)"),
)  # fmt: skip
_KEYS = (
    _plain("hook-stuck", "hook_reports", False, "the hook key does nothing"),
    _sized("hook-bounces", "hook_bounces", "count", 2, 1, "the hook key reports so many further presses"),
    _plain("hook-as-press", "hook_level", False, "the hook falls back at once: a press and no level"),
    _sized("keys-late", "key_delay_s", "ms", 300, 0.001, "every key is reported late"),
    _plain("mute-key-dead", "mute_key_reports", 0, "the mute key does nothing"),
    _plain("mute-key-twice", "mute_key_reports", 2, "the mute key is reported twice for one press"),
    _plain("volume-keys-dead", "volume_key_reports", 0, "the volume keys do nothing"),
    _plain("volume-keys-twice", "volume_key_reports", 2, "the volume keys are reported twice for one press"),
    _plain("volume-keys-swapped", "volume_keys_right", False, "louder and quieter are swapped"),
    _sized("spurious-mute", "spurious_per_minute", "1/min", 60, 1, "mute is reported though nobody pressed"),
    _plain("hook-on-plug", "hook_on_plug", True, "the headset reports off-hook when it is plugged in"),
)
_LAMPS = (
    _plain("led-mute-ignored", "obeys_led_mute", False, "the mute lamp never lights"),
    _plain("led-off-hook-ignored", "obeys_led_off_hook", False, "the off-hook lamp never lights"),
    _plain("led-ring-ignored", "obeys_led_ring", False, "the ring lamp never lights"),
    _plain("led-hold-ignored", "obeys_led_hold", False, "the hold lamp never lights"),
    _sized("led-late", "led_delay_s", "ms", 600, 0.001, "the lamps follow late"),
)
_SOUND = (
    _sized("mute-leaks", "mute_leak", "%", 1, 0.01, "so much of the microphone is heard though it is muted"),
    _plain("mute-ignored", "obeys_mute", False, "the microphone cannot be muted (UAC1, 5.2.2.4.3.1)"),
    _plain("mute-lost-on-reopen", "mute_survives_reopen", False, "mute is lost when the stream is opened again"),
    _plain("volume-ignored", "obeys_volume", False, "the volume control changes nothing (UAC1, 5.2.2.4.3.2)"),
    _sized("volume-steps-wrong", "volume_slope", "%", 50, 0.01,
           "each step of the volume is larger than declared (UAC1, 5.2.2.4.3.2)"),
    _plain("rate-ignored", "obeys_rate", False, "the microphone stays at 48 kHz whatever is set (UAC1, 5.2.3.2.3.1)"),
    _sized("rate-drift", "rate_error_ppm", "ppm", 2000, 1, "the microphone's rate is too high"),
    _sized("samples-lost", "samples_lost_per_s", "1/s", 2, 1, "single samples of the microphone are left out"),
    _sized("samples-repeated", "samples_repeated_per_s", "1/s", 2, 1, "single samples of the microphone come twice"),
    _sized("packets-lost", "packets_lost_per_s", "1/s", 2, 1, "whole packets of the microphone are lost on the bus"),
    _sized("latency", "latency_s", "ms", 150, 0.001, "sound takes longer through the headset"),
    _sized("latency-varies", "latency_step_s", "ms", 40, 0.001, "every second opening has a longer latency"),
    _sized("echo", "echo_share", "%", 3, 0.01, "so much of the ear is heard at the microphone, 12 ms late"),
    _sized("noise", "noise_lsb", "LSB", 30, 1, "the microphone has noise, even between plus and minus the size"),
    _sized("hum", "hum_lsb", "LSB", 100, 1, "the microphone hums at 50 Hz with this amplitude"),
    _sized("offset", "mic_offset_lsb", "LSB", 200, 1, "the microphone has a constant offset"),
    _sized("mic-quiet", "mic_gain_db", "dB", 12, -1, "the microphone is too quiet"),
    _sized("ear-quiet", "ear_gain_db", "dB", 12, -1, "the ear is too quiet"),
    _sized("treble-lost", "treble_loss", "%", 80, 0.01, "so much is missing at half the sampling rate, less below"),
    _sized("distortion", "cubic_share", "%", 20, 0.01, "the microphone bends large amplitudes, by a cubic term"),
    _plain("right-ear-silent", "right_ear_works", False, "the right ear is silent"),
    _plain("ears-swapped", "channels_right", False, "left and right are swapped"),
    _plain("hangs", "answers", False, "the device is there and answers no control transfer any more (USB 2.0, 9.2.6)"),
    _plain("ghost", "mic_alive", False, "the device is there and its microphone delivers empty packets"),
)  # fmt: skip
_PLUG = (
    _plain("state-lost-on-replug", "state_survives_replug", False, "volume and mute are forgotten when unplugged"),
    _sized("plug-slow", "plug_delay_s", "ms", 6000, 0.001, "the headset takes so long before it is on the bus"),
    _plain("plug-skipped", "plugs_skipped", 3, "every third plug does not bring the headset to the bus"),
    _sized("drops-off-bus", "drops_per_minute", "1/min", 30, 1, "the headset leaves the bus by itself and comes back"),
    _plain("opening-refused", "openings_refused", 3, "every third opening of the microphone is refused"),
)

DEFECTS: Mapping[str, HeadsetDefect] = {
    one.slug: one for one in (*_DESCRIPTORS, *_KEYS, *_LAMPS, *_SOUND, *_PLUG)
}  # fmt: skip
"""Every defect of the virtual headset, by its slug."""

SIZE_MAX = 1_000_000.0


def behaviour_with(sizes: Mapping[str, float]) -> Behaviour:
    """The healthy behaviour with these defects in these sizes; raises BadInput for an unknown one or a bad size."""
    behaviour = HEALTHY
    for slug, size in sizes.items():
        if slug not in DEFECTS:
            raise BadInput(f"no defect {slug!r}; expected one of {', '.join(sorted(DEFECTS))}")
        if not 0 <= size <= SIZE_MAX:
            raise BadInput(f"the size of {slug} is {size}; expected 0 to {SIZE_MAX:g}")
        behaviour = DEFECTS[slug].change(behaviour, size)
    return behaviour
