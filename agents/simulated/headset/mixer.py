"""The headset's feature units: mute and volume as the host sets and asks them (UAC1, 5.2.2.4.3).

A control is (unit, selector, channel); requests that the headset does not have are answered None, which is a stall.
"""

from agents.simulated.headset.behaviour import Behaviour
from agents.simulated.headset.descriptors import MIC_UNIT, SPEAKER_UNIT

MUTE, VOLUME = 1, 2
SET_CUR, GET_CUR, GET_MIN, GET_MAX, GET_RES = 0x01, 0x81, 0x82, 0x83, 0x84
Control = tuple[int, int, int]

SPEAKER_MUTE, SPEAKER_LEFT, SPEAKER_RIGHT = (
    (SPEAKER_UNIT, MUTE, 0),
    (SPEAKER_UNIT, VOLUME, 1),
    (SPEAKER_UNIT, VOLUME, 2),
)
MIC_MUTE, MIC_VOLUME = (MIC_UNIT, MUTE, 0), (MIC_UNIT, VOLUME, 0)

STEP = 256
"""1 dB in units of 1/256 dB (UAC1, table 5-20)."""

_RANGES_DB: dict[Control, tuple[int, int]] = {SPEAKER_LEFT: (-60, 0), SPEAKER_RIGHT: (-60, 0), MIC_VOLUME: (-12, 12)}


class Mixer:
    """What is set: volumes in 1/256 dB, mutes as 0 or 1."""

    def __init__(self) -> None:
        self._now: dict[Control, int] = {}
        self.forget()

    def forget(self) -> None:
        """As it comes out of the factory: nothing muted, everything at 0 dB."""
        self._now = dict.fromkeys((SPEAKER_MUTE, SPEAKER_LEFT, SPEAKER_RIGHT, MIC_MUTE, MIC_VOLUME), 0)

    def get(self, request: int, control: Control) -> bytes | None:
        """The answer to a GET request."""
        if control not in self._now:
            return None
        if control[1] == MUTE:
            return bytes((self._now[control],)) if request == GET_CUR else None
        low, high = _RANGES_DB[control]
        values = {GET_CUR: self._now[control], GET_MIN: low * STEP, GET_MAX: high * STEP, GET_RES: STEP}
        return values[request].to_bytes(2, "little", signed=True) if request in values else None

    def set(self, control: Control, data: bytes) -> bool:
        """SET_CUR; False where there is no such control or the data have another length."""
        if control not in self._now or len(data) != control[1]:
            return False
        if control[1] == MUTE:
            self._now[control] = int(data[0] != 0)
        else:
            low, high = _RANGES_DB[control]
            value = int.from_bytes(data, "little", signed=True)
            self._now[control] = max(low * STEP, min(high * STEP, value))
        return True

    def unmute(self) -> None:
        """The microphone is heard again."""
        self._now[MIC_MUTE] = 0

    @property
    def muted(self) -> bool:
        """Whether the microphone is muted."""
        return bool(self._now[MIC_MUTE])

    def ear_gain(self, channel: int, behaviour: Behaviour) -> float:
        """What becomes of the left (0) or right (1) ear, linear."""
        if self._now[SPEAKER_MUTE] or (channel == 1 and not behaviour.right_ear_works):
            return 0.0
        control = SPEAKER_RIGHT if channel else SPEAKER_LEFT
        return self._gain(control, behaviour.ear_gain_db, behaviour)

    def mic_gain(self, behaviour: Behaviour) -> float:
        """What becomes of the microphone, linear; ``behaviour.mic_gain_db`` is the capsule's and not in it."""
        gain = self._gain(MIC_VOLUME, 0.0, behaviour)
        return gain * behaviour.mute_leak if self.muted and behaviour.obeys_mute else gain

    def levels(self) -> dict[str, float]:
        """What is set, in dB, and the mutes, for the bench to look at."""
        return {
            "speaker_muted": self._now[SPEAKER_MUTE],
            "speaker_left_db": self._now[SPEAKER_LEFT] / STEP,
            "speaker_right_db": self._now[SPEAKER_RIGHT] / STEP,
            "mic_muted": self._now[MIC_MUTE],
            "mic_db": self._now[MIC_VOLUME] / STEP,
        }

    def _gain(self, control: Control, extra_db: float, behaviour: Behaviour) -> float:
        set_db = self._now[control] / STEP * behaviour.volume_slope if behaviour.obeys_volume else 0.0
        return float(10 ** ((set_db + extra_db) / 20))
