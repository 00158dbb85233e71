"""What a test report needs that only people know: they write it on a sheet. Nothing has a default. Pure.

Fields that are left out, empty, or filled with words that say nothing are told all at once, each with what is expected.
"""

from datetime import date

from lab_inventory.errors import Problem
from lab_inventory.noun import Label, Noun, Text, says_nothing


class CustomerSheet(Noun):
    """Whom the report is for."""

    name: Label | None = None
    contact: Text | None = None


class ItemSheet(Noun):
    """How the item came to the lab, and in which state. ``sampling``: who chose it, from what, and how."""

    received_on: date | None = None
    condition: Text | None = None
    sampling: Text | None = None


class AuthoriserSheet(Noun):
    """Who authorises the report."""

    name: Label | None = None
    function: Label | None = None


class Sheet(Noun):
    """The sheet as people fill it in. ``deviations``: from the methods, additions and exclusions; a sentence also where
    there were none.
    """

    customer: CustomerSheet = CustomerSheet()
    item: ItemSheet = ItemSheet()
    environment: Text | None = None
    deviations: Text | None = None
    authorised_by: AuthoriserSheet = AuthoriserSheet()


ASKED = {
    "customer.name": "the customer's name",
    "customer.contact": "how the customer is reached: address, telephone or email",
    "item.received_on": "the day on which the item was received, YYYY-MM-DD",
    "item.condition": "the condition of the item when it was received, in a sentence",
    "item.sampling": "who chose the item, from what and how, in a sentence",
    "environment": "the conditions under which was tested (place, temperature, network), in a sentence",
    "deviations": "deviations from the methods, additions and exclusions, or the sentence that there were none",
    "authorised_by.name": "the name of the person who authorises the report",
    "authorised_by.function": "the function of that person",
}
"""Every field of the sheet with what is expected in it (ISO/IEC 17025:2017, 7.8.2.1 and 7.8.3.1)."""


def against_sheet(sheet: Sheet) -> tuple[Problem, ...]:
    """Every field that is missing or says nothing."""
    return tuple(
        Problem(path=path, wrong=wrong, expected=expected)
        for path, expected in ASKED.items()
        if (wrong := _wrong(_at(sheet, path)))
    )


def _at(sheet: Sheet, path: str) -> object:
    found: object = sheet
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _wrong(value: object) -> str:
    if value is None:
        return "is missing"
    return f"says {value!r}" if isinstance(value, str) and says_nothing(value) else ""
