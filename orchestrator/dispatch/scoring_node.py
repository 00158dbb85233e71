"""Which node of the Ray cluster may score a recording now. Pure: takes what Ray says of its nodes.

Scoring takes a processor for seconds, which would show in what a sender beside it sends: so it goes to a node that has
the resource ``scoring`` and stands at no bench. Where there is none, it goes to the host whose bench made the
recording, and only while nothing is sent there; never to another host's bench, of which nobody knows here what it
sends.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lab_inventory.ray_access import HOST_LABEL, SCORING

NOWHERE_NOW = "no node but the bench's own host could score it, and that may be sending"
NOWHERE = f"no living node of the Ray cluster has the resource {SCORING}, and the bench's own host has no node"


def scoring_node(
    nodes: Sequence[Mapping[str, Any]], *, host: str, sending: bool, benches: Sequence[str], busy: Mapping[str, int]
) -> tuple[str | None, str]:
    """The id of a node, or None and why. ``nodes``: as ``ray.nodes()`` gives them; ``busy``: scores on their way, by
    node: the least busy is taken, as a share of how many it scores at once.
    """
    alive = [node for node in nodes if node.get("Alive")]
    away = {
        str(node["NodeID"]): float(node["Resources"][SCORING])
        for node in alive
        if node.get("Resources", {}).get(SCORING, 0) > 0 and _host_of(node) not in benches
    }
    if away:
        return min(sorted(away), key=lambda node: busy.get(node, 0) / away[node]), ""
    own = next((str(node["NodeID"]) for node in alive if _host_of(node) == host), None)
    if own is None:
        return None, NOWHERE
    return (None, NOWHERE_NOW) if sending else (own, "")


def _host_of(node: Mapping[str, Any]) -> str:
    return str(node.get("Labels", {}).get(HOST_LABEL, ""))
