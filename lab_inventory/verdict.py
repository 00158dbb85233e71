"""The six verdicts and the flags beside them. Pure data."""

from enum import StrEnum


class Verdict(StrEnum):
    """Six, and no other. ``error`` and ``inconclusive`` are the lab's, never the device's."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    NOT_APPLICABLE = "not-applicable"
    NOT_RUN = "not-run"


class Flag(StrEnum):
    """What stands beside a verdict.

    ``marginal``: a pass nearer to the limit than its uncertainty; under the non-binary rule, a conditional pass.
    ``conditional``: under the non-binary rule, a fail beyond the limit by no more than its uncertainty.
    """

    UNSTABLE = "unstable"
    WAIVED = "waived"
    MARGINAL = "marginal"
    CONDITIONAL = "conditional"


WORST_FIRST = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_RUN,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)
"""The order in which verdicts of parts decide the verdict of the whole."""
