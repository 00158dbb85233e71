"""The pictures of a case's sound for a folder or a pack: one for each recording, one for each source of RTP. Pure."""

from collections.abc import Mapping

from lab_inventory.errors import BadInput
from lab_inventory.evidence.rtp_time_line import read_rtp_packets, time_lines
from lab_inventory.evidence.rtp_time_line_svg import in_words, rtp_time_line_svg
from lab_inventory.evidence.sound_svg import sound_svg
from lab_inventory.evidence.wav import read_wav

SOUNDS_DRAWN_MAX = 12
TIME_LINES_MAX = 8


def pictures(recorded: Mapping[str, bytes], rtp: bytes) -> dict[str, bytes]:
    """SVG files by name. ``recorded``: WAV files by the names of the evidence; ``rtp``: the kept lines of RTP packets.

    What is no WAV file as agents write it has no picture.
    """
    made: dict[str, bytes] = {}
    for number, (name, data) in enumerate(list(recorded.items())[:SOUNDS_DRAWN_MAX], start=1):
        try:
            made[f"sound-{number}.svg"] = sound_svg(read_wav(data), name, alone=True).encode()
        except BadInput:
            continue
    for number, found in enumerate(time_lines(read_rtp_packets(rtp).lines)[:TIME_LINES_MAX], start=1):
        title = f"RTP of call {found.call}: {in_words(found)}"
        made[f"rtp-{number}.svg"] = rtp_time_line_svg(found, title, alone=True).encode()
    return made
