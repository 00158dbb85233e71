"""The files of a programme package: the frame, its categories, and the modules that these are built from. Nouns only.

skype-for-business/
  programme.yaml      the frame: what holds for every category
  ip-phone.yaml       a category: its profiles, and the modules it is built from
  modules/calls.yaml  a module: questions, test cases and requirements that belong together
"""

from pydantic import Field

from lab_inventory.ics import Feature, IxitItem, Rule
from lab_inventory.noun import Label, Name, Noun, Text
from lab_inventory.programme import Level, Profile, RequirementCore, Suite, Version
from lab_inventory.programme_terms import Terms


class Frame(Terms):
    """What holds for every category of the package. ``levels``: the first is the minimum."""

    id: Name
    version: Version
    title: Label
    demonstration: bool
    provisional: bool = Field(default=False, exclude_if=lambda given: not given)
    statement: Text
    levels: tuple[Level, ...] = Field(min_length=1)


class CategoryModule(Noun):
    """A module of a category, and the category's profiles that ask for what is in it."""

    module: Name
    profiles: tuple[Name, ...] = Field(min_length=1)


class Category(Noun):
    """One category: the programme ``<package>.<category>`` is composed from it. ``statement``: after the frame's."""

    category: Name
    title: Label
    statement: Text = ""
    requires_characterised_bench: bool = Field(default=False, exclude_if=lambda given: not given)
    profiles: tuple[Profile, ...] = Field(min_length=1)
    modules: tuple[CategoryModule, ...] = Field(min_length=1)


class Questions(Noun):
    """What a module asks a vendor; rules may name what other modules of a category ask."""

    features: tuple[Feature, ...] = ()
    rules: tuple[Rule, ...] = ()
    ixit: tuple[IxitItem, ...] = ()


class Module(Noun):
    """A reusable piece. Suites of the same id are one suite in a category, in the order of its modules; questions that
    several modules ask in the same words are asked once.
    """

    module: Name
    title: Label
    proforma: Questions = Field(default_factory=Questions)
    suites: tuple[Suite, ...] = ()
    requirements: tuple[RequirementCore, ...] = ()
