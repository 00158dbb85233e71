"""How the headset behaves: every point where it can be wrong is one field here, healthy by default. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """The points of behaviour; a defect changes exactly one (``agents.simulated.headset.defects``)."""

    configuration_length_excess: int = 0
    interface_count_excess: int = 0
    control_length_excess: int = 0
    hid_length_excess: int = 0
    speaker_source: int = 2
    audio_endpoint_bytes: int = 9
    terminal_type: int = 0x0402
    tells_serial: bool = True
    own_serial: bool = True
    tells_release: bool = True
    whole_strings: bool = True
    rate_count_excess: int = 0
    declares_hook: bool = True
    declares_mute_one_shot: bool = True
    declares_leds: bool = True
    declares_collection_end: bool = True

    hook_reports: bool = True
    hook_bounces: int = 0
    hook_level: bool = True
    key_delay_s: float = 0.0
    mute_key_reports: int = 1
    volume_key_reports: int = 1
    volume_keys_right: bool = True
    spurious_per_minute: float = 0.0
    hook_on_plug: bool = False

    obeys_led_mute: bool = True
    obeys_led_off_hook: bool = True
    obeys_led_ring: bool = True
    obeys_led_hold: bool = True
    led_delay_s: float = 0.0

    mute_leak: float = 0.0
    obeys_mute: bool = True
    mute_survives_reopen: bool = True
    state_survives_replug: bool = True
    obeys_volume: bool = True
    volume_slope: float = 1.0
    obeys_rate: bool = True
    rate_error_ppm: float = 0.0
    samples_lost_per_s: float = 0.0
    samples_repeated_per_s: float = 0.0
    packets_lost_per_s: float = 0.0
    latency_s: float = 0.010
    latency_step_s: float = 0.0
    echo_share: float = 0.0
    noise_lsb: float = 0.0
    hum_lsb: float = 0.0
    mic_gain_db: float = 0.0
    ear_gain_db: float = 0.0
    treble_loss: float = 0.0
    cubic_share: float = 0.0
    mic_offset_lsb: float = 0.0
    right_ear_works: bool = True
    channels_right: bool = True
    mic_alive: bool = True

    answers: bool = True
    plug_delay_s: float = 0.0
    plugs_skipped: int = 0
    drops_per_minute: float = 0.0
    openings_refused: int = 0


HEALTHY = Behaviour()
"""Nothing is wrong: the loop from ear to mouth is exact to the bit, every key and lamp does what it says."""
