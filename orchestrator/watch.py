"""What only the running server knows and no table holds: who was heard of when, on this process's CLOCK_BOOTTIME.

After a restart everything counts as heard of at the start (docs/decisions/0001). Of several servers on one database
only the one that leads looks at it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

REFUSED_WAIT_S = 10.0
REFUSED_WAIT_MAX_S = 600.0


@dataclass(kw_only=True)
class Watch:
    """Times are seconds of CLOCK_BOOTTIME; ``not_ready`` says of a host why its Ray worker cannot be reached.

    ``ray_trouble``: what a host's agent says of why its Ray node is not in the cluster.
    ``refused``: hosts whose agent refused a run, with the time until which it is not asked again, how often in a row,
    and why.
    ``lab_changed``: something that placing looks at was written that is no fact: the lab file, or a host's inbox.
    ``told``: the numbers of ``heard`` that were taken in; ``passed_on_s``: when a follower last passed one on.
    ``loop_trouble``: why the last pass of the loop failed, empty where it did not. ``passed_at_s``: when it ended.
    """

    started_s: float
    renewed_at_s: dict[str, float] = field(default_factory=dict)
    heard_at_s: dict[str, float] = field(default_factory=dict)
    dispatched_at_s: dict[str, float] = field(default_factory=dict)
    placed_at_s: dict[str, float] = field(default_factory=dict)
    not_ready: dict[str, str] = field(default_factory=dict)
    ray_trouble: dict[str, str] = field(default_factory=dict)
    refused: dict[str, tuple[float, int, str]] = field(default_factory=dict)
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    passed_on_s: dict[tuple[str, str], float] = field(default_factory=dict)
    lab_changed: bool = False
    loop_trouble: str = ""
    passed_at_s: float | None = None

    def follow(self, leases: Iterable[tuple[str, str]], now_s: float) -> None:
        """Take on (lease, run) pairs that are live, and forget all others."""
        live = dict(leases)
        self.renewed_at_s = {lease: self.renewed_at_s.get(lease, now_s) for lease in live}
        runs = set(live.values())
        self.dispatched_at_s = {run: at for run, at in self.dispatched_at_s.items() if run in runs}
        self.placed_at_s = {run: at for run, at in self.placed_at_s.items() if run in runs}

    def refuse(self, host: str, reason: str, now_s: float) -> None:
        """A host's agent refused a run: it is left alone, for twice as long each time."""
        times = self.refused.get(host, (0.0, 0, ""))[1] + 1
        wait_s = min(REFUSED_WAIT_MAX_S, REFUSED_WAIT_S * 2 ** min(times - 1, 16))
        self.refused[host] = (now_s + wait_s, times, reason)

    def forget_refusals(self, now_s: float) -> bool:
        """Whether some host may be asked again since the last call; how often it refused stays known."""
        over = [host for host, (until_s, _, why) in self.refused.items() if why and until_s <= now_s]
        for host in over:
            self.refused[host] = (now_s, self.refused[host][1], "")
        return bool(over)

    def refusing(self) -> dict[str, str]:
        """The hosts that are left alone for a while because they refused a run, with why."""
        return {host: f"it refused a run: {why}" for host, (_, _, why) in self.refused.items() if why}

    def begin(self, now_s: float) -> None:
        """Lead from now on: every host counts as heard of and every lease as renewed at this moment."""
        self.started_s = now_s
        for known in (self.renewed_at_s, self.heard_at_s, self.dispatched_at_s, self.placed_at_s, self.not_ready):
            known.clear()
        self.refused.clear()
        self.ray_trouble.clear()
        self.told.clear()
        self.passed_at_s = None
        self.lab_changed = True

    def hear(self, told: Mapping[tuple[str, str], int], now_s: float) -> None:
        """Take in what followers heard: of whatever number is new, this is the moment."""
        for (kind, name), number in told.items():
            if self.told.get((kind, name)) != number:
                (self.renewed_at_s if kind == "lease" else self.heard_at_s)[name] = now_s
        self.told = dict(told)

    def silent(self, hosts: Iterable[str], now_s: float, limit_s: float) -> frozenset[str]:
        """The hosts that have not been heard of for longer than ``limit_s``."""
        return frozenset(host for host in hosts if now_s - self.heard_at_s.get(host, self.started_s) > limit_s)
