"""What a suite was found to be worth: the seeded defects it found, and how often it wronged a healthy device. Pure."""

from datetime import date

from pydantic import Field

from lab_inventory.noun import Label, Name, Noun, Sha256


class SuiteScore(Noun):
    """The summary of one scoring, as a run carries it and a report quotes it.

    ``found`` of ``seeded``: runs with a seeded defect that came out as they must. ``departures``: of ``healthy_runs``
    runs of healthy devices, those in which a verdict differed from the device's golden profile;
    ``false_fails_at_most``: the share of such runs that this number allows at 95 % confidence (one-sided,
    Clopper-Pearson). ``digest``: of the whole table.
    """

    category: Name
    suite_version: Label
    programme: Label
    profile: Name
    made_on: date
    seeded: int = Field(ge=0)
    found: int = Field(ge=0)
    healthy_runs: int = Field(ge=0)
    departures: int = Field(ge=0)
    false_fails_at_most: float = Field(ge=0, le=1)
    digest: Sha256

    @property
    def words(self) -> str:
        """All of it, for people."""
        return (
            f"of {self.seeded} runs with a seeded defect {self.found} came out as they must; in {self.healthy_runs} "
            f"runs of healthy devices {self.departures} departed from what was expected, so that at 95 % confidence at "
            f"most {self.false_fails_at_most:.1%} do (suite {self.suite_version}, {self.programme}, profile "
            f"{self.profile}, scored on {self.made_on})"
        )


def share_at_most(departures: int, runs: int, *, confidence: float = 0.95) -> float:
    """The largest share of departing runs that so many allow (one-sided, Clopper-Pearson); 1 without runs."""
    if runs == 0 or departures >= runs:
        return 1.0
    low, high = departures / runs, 1.0
    for _ in range(60):
        share = (low + high) / 2
        if _at_most(departures, runs, share) > 1 - confidence:
            low = share
        else:
            high = share
    return high


def _at_most(departures: int, runs: int, share: float) -> float:
    """The probability of so few departures in so many runs, where each departs with this probability."""
    term = total = (1 - share) ** runs
    for number in range(1, departures + 1):
        term *= (runs - number + 1) / number * share / (1 - share)
        total += term
    return total
