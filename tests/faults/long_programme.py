"""A programme whose runs last longer than any outage, and shorter ones: no shipped programme has runs that long."""

from lab_inventory.programme import Programme

CASE_S = 60
CASES = {"long": 15, "short": 2}
"""Cases by profile: with a scale of 1, runs of 15 and of 2 minutes."""


def _programme() -> Programme:
    source = {"source": {"text": "made for tests of outages", "mark": "our-choice"}}
    cases, requirements = [], []
    for profile, count in CASES.items():
        for number in range(1, count + 1):
            case = f"TC-{profile.upper()}-{number:02d}"
            cases.append({"id": case, "title": case, "procedure": f"{profile}-{number}", "duration_s": CASE_S})
            yes = {"equals": True, **source}
            requirements.append(
                {
                    "id": f"R-{profile.upper()}-{number:02d}",
                    "title": case,
                    "criterion": "standard",
                    "profiles": [profile],
                    "case": case,
                    "checks": [
                        {"quantity": "pressed", "unit": "bool", "limits": {"works-with": yes, "certified": yes}}
                    ],
                }
            )
    return Programme.model_validate(
        {
            "id": "outage",
            "version": "1.0",
            "title": "Runs of every length",
            "category": "ip-phone",
            "demonstration": True,
            "statement": "It grants nothing.",
            "profiles": [
                {"id": profile, "title": profile, "covers": "keys", "does_not_cover": "all else"} for profile in CASES
            ],
            "levels": [
                {"id": "works-with", "title": "Works with", "rule": "simple-acceptance"},
                {"id": "certified", "title": "Certified", "rule": "guard-band"},
            ],
            "proforma": {"features": [{"id": "keys", "question": "Has it keys?"}]},
            "suites": [{"id": "keys", "cases": cases}],
            "requirements": requirements,
        }
    )


LONG = _programme()
