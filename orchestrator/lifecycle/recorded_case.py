"""One repeat of one case as it is on record. Pure data."""

from dataclasses import dataclass

from lab_inventory.device import Registration
from lab_inventory.messages import CaseEnded
from lab_inventory.programme import Programme
from orchestrator.lifecycle.batch import Submission


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """What was recorded of a case. ``repeats``: those that ended; ``cases``: of the run, by id.

    ``suite_version`` and ``user_agent`` are what the run's process said; empty where it did not come to that.
    """

    run: str
    attempt: int
    submission: str
    suite: str
    cases: tuple[str, ...]
    content: Submission
    programme: Programme
    registration: Registration | None
    suite_version: str
    user_agent: str
    ended: CaseEnded
    repeats: tuple[int, ...]
