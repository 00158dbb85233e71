"""What a network does to a stream, as numbers: loss, bursts, jitter, reordering, copies, and a clock that is off. Pure.

Shares are of the packets of the stream, 0 to 1. What they come to in one stream is decided by a seed, in
:mod:`agents.instruments.sender.plan`.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from lab_inventory.noun import Noun

Share = Annotated[float, Field(ge=0, le=1)]


class GilbertElliott(Noun):
    """Loss in bursts: a line that is good or bad, and changes between two packets with these chances.

    Gilbert, Bell System Technical Journal 39 (1960), with a loss in the good state too as Elliott has it (42, 1963).
    """

    to_bad: Share
    to_good: Annotated[float, Field(gt=0, le=1)]
    loss_good: Share = 0.0
    loss_bad: Share = 1.0

    @property
    def loss(self) -> float:
        """The share that is lost in the mean: that of each state, weighted with how long the line is in it."""
        bad = self.to_bad / (self.to_bad + self.to_good)
        return bad * self.loss_bad + (1 - bad) * self.loss_good

    @property
    def burst_packets(self) -> float:
        """How many packets the line is bad for in the mean."""
        return 1 / self.to_good


def bursts(*, loss: float, burst_packets: float) -> GilbertElliott:
    """A line that loses everything while it is bad: ``loss`` in the mean, in bursts of ``burst_packets`` in the mean.

    ``loss`` is from [0, 1), ``burst_packets`` at least 1; what cannot be had with them is refused with a ValueError.
    """
    to_good = 1 / burst_packets
    return GilbertElliott(to_bad=to_good * loss / (1 - loss), to_good=to_good)


class Impairment(Noun):
    """What is done to one stream of evenly spaced packets.

    ``loss``: each is lost with this chance; of ``loss_spacing`` packets in a row at most one is, and the chance of the
    others is raised so that the share stays. ``burst``: losses in bursts, on top. ``jitter_ms``: each is delayed by a
    time drawn evenly from 0 to so many ms, and none overtakes another by it. ``reorder``: each is held back with this
    chance until ``reorder_by`` more have gone. ``duplicate``: each is sent twice with this chance, the copy at once.
    ``drift_ppm``: the sender's clock runs fast by so many parts in a million (negative: slow).
    """

    loss: Share = 0.0
    loss_spacing: Annotated[int, Field(ge=1, le=1000)] = 1
    burst: GilbertElliott | None = None
    jitter_ms: Annotated[float, Field(ge=0, le=1000)] = 0.0
    reorder: Share = 0.0
    reorder_by: Annotated[int, Field(ge=1, le=20)] = 1
    duplicate: Share = 0.0
    drift_ppm: Annotated[float, Field(ge=-100_000, le=100_000)] = 0.0

    @model_validator(mode="after")
    def _loss_can_be_had(self) -> Self:
        if self.loss * self.loss_spacing > 1:
            raise ValueError(f"a loss of {self.loss:g} cannot be had with one of {self.loss_spacing} at most")
        return self


CLEAN = Impairment()
"""Nothing is done."""
