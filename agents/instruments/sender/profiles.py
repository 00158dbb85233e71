"""Networks by name, each as an impairment of a stream of one packet in 20 ms, with its source. Data.

The targets of a network are bounds; the profile stands on the bound, in the mean. Of a path's delay a receiver of one
stream sees nothing but its changes, so the profiles have none. ``jitter`` of a source is read as the range over which
the delay is spread evenly (our choice): with the order kept, 30 ms of it come to 10 ms by the estimator of RFC 3550.
"""

from agents.instruments.sender.impairment import CLEAN, Impairment
from lab_inventory.noun import Name, Noun, Text


class NetworkProfile(Noun):
    """A network: its name, what it does to a stream, where its figures come from, and what of them it cannot show."""

    name: Name
    impairment: Impairment
    source: Text


_TARGETS = (
    "learn.microsoft.com/microsoftteams/prepare-network, citing "
    "learn.microsoft.com/skypeforbusiness/optimizing-your-network/media-quality-and-network-connectivity-performance"
)
_PROFILES = (
    NetworkProfile(name="clean", impairment=CLEAN, source="nothing is done"),
    NetworkProfile(
        name="client-to-edge",
        impairment=Impairment(loss=0.01, loss_spacing=10, jitter_ms=30, reorder=0.0005),
        source=f"{_TARGETS}: client to the provider's edge: loss < 1 % in any 15 s and < 10 % in any 200 ms (one "
        "packet of ten), jitter < 30 ms, reordering < 0.05 %",
    ),
    NetworkProfile(
        name="site-to-edge",
        impairment=Impairment(loss=0.001, loss_spacing=10, jitter_ms=15, reorder=0.0001),
        source=f"{_TARGETS}: customer's edge to the provider's: loss < 0.1 % in any 15 s, jitter < 15 ms, reordering "
        "< 0.01 %. Its loss of < 1 % in any 200 ms is less than one packet of ten: no loss at all would meet it",
    ),
    NetworkProfile(
        name="poor-call",
        impairment=Impairment(loss=0.02, jitter_ms=30),
        source="thresholds above which a provider's call quality dashboard counts a stream as poor, by a secondary "
        "source: loss > 2 %, jitter > 30 ms",
    ),
)
NETWORK_PROFILES: dict[str, NetworkProfile] = {profile.name: profile for profile in _PROFILES}
"""The networks by name."""
