"""Programme packages: what is composed, and that every mistake is found at its place, all at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_inventory.errors import BadInput
from lab_inventory.noun import Noun
from lab_inventory.package import Category, Frame, Module
from lab_inventory.package_reading import package_texts, parse_package, programmes_at, read_package
from lab_inventory.programme import Programme, read_programme
from lab_inventory.reading import parse_yaml
from lab_inventory.shipped import shipped_programmes

SHIPPED = Path(__file__).parents[2] / "lab_inventory" / "programmes"
GOLDEN = Path(__file__).parents[1] / "golden" / "programmes.txt"
PACKAGES = sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())
LEVEL = "equals: true, source: {text: RFC, mark: known}"
FILES = {
    "programme.yaml": """
id: pack
version: "1.0"
title: Pack
demonstration: true
statement: Of the frame.
lifecycle: {available_from: 2026-01-01, deprecated_from: 2027-01-01}
levels:
  - {id: low, title: Low, rule: simple-acceptance}
  - {id: high, title: High, rule: guard-band}
designations:
  - {id: extra, title: Extra, statement: More., requirements: [R-BY-HAND]}
benefits:
  - {device_type: phone, title: Phones, categories: [phone], benefits: [It rings.]}
holders_of:
  - {programme: old, count: false, because: It is another platform.}
  - {programme: older, count: true, categories: [box], because: Boxes are what they were.}
""",
    "phone.yaml": """
category: phone
title: Phone
statement: Of the phone.
profiles:
  - {id: wire, title: Wire, covers: The wire., does_not_cover: The rest.}
  - {id: full, title: Full, covers: All., does_not_cover: Nothing.}
modules:
  - {module: calls, profiles: [wire, full]}
  - {module: late, profiles: [wire, full]}
  - {module: hands, profiles: [full]}
""",
    "box.yaml": """
category: box
title: Box
profiles:
  - {id: full, title: Full, covers: All., does_not_cover: Nothing.}
modules:
  - {module: calls, profiles: [full]}
""",
    "modules/calls.yaml": f"""
module: calls
title: Calls
proforma:
  features:
    - {{id: video, question: 'Has it video?'}}
suites:
  - id: suite
    cases:
      - {{id: TC-1, title: Call, procedure: incoming-call, duration_s: 1}}
requirements:
  - id: R-CALL
    title: It takes a call
    criterion: standard
    case: TC-1
    checks:
      - quantity: answer_valid
        unit: bool
        limits:
          low: {{{LEVEL}}}
          high: {{{LEVEL}}}
      - quantity: ringing_ms
        unit: ms
        limits:
          low: {{max: 1000, source: {{text: ours, mark: our-choice}}}}
          high: {{max: 500, source: {{text: ours, mark: our-choice}}}}
""",
    "modules/late.yaml": f"""
module: late
title: Late
proforma:
  features:
    - {{id: video, question: 'Has it video?'}}
    - {{id: hold, question: 'Can it hold?'}}
  rules:
    - {{when: video, then: hold, because: It must.}}
suites:
  - id: suite
    cases:
      - {{id: TC-2, title: Last, procedure: cancel, duration_s: 2}}
requirements:
  - id: R-LATE
    title: It comes last
    criterion: quality
    kind: conditional
    condition: hold
    case: TC-2
    checks:
      - {{quantity: cancel_answered, unit: bool, limits: {{low: {{{LEVEL}}}, high: {{{LEVEL}}}}}}}
""",
    "modules/hands.yaml": f"""
module: hands
title: By hand
requirements:
  - id: R-BY-HAND
    title: It feels good
    criterion: quality
    kind: optional
    instructions: Hold it.
    checks:
      - {{quantity: feels_good, unit: bool, limits: {{low: {{{LEVEL}}}, high: {{{LEVEL}}}}}}}
""",
}


def composed() -> dict[str, Programme]:
    return {one.category: one for one in parse_package(FILES, source="pack").programmes}


def broken(*changes: tuple[str, str, str], also: dict[str, str] | None = None) -> dict[str, str]:
    """What is said of the files with these replacements: by file and path, what is wrong."""
    texts = FILES | (also or {})
    for file, before, after in changes:
        assert before in texts[file]
        texts = texts | {file: texts[file].replace(before, after)}
    with pytest.raises(BadInput) as caught:
        parse_package(texts, source="pack")
    return {problem.path: problem.wrong for problem in caught.value.problems}


def test_a_category_is_composed_of_its_modules_in_their_order() -> None:
    phone = composed()["phone"]
    assert (phone.id, phone.package, phone.title) == ("pack.phone", "pack", "Pack: Phone")
    assert phone.statement == "Of the frame. Of the phone."
    (suite,) = phone.suites
    assert [case.id for case in suite.cases] == ["TC-1", "TC-2"]
    assert [(one.id, one.profiles) for one in phone.requirements] == [
        ("R-CALL", ("wire", "full")),
        ("R-LATE", ("wire", "full")),
        ("R-BY-HAND", ("full",)),
    ]
    assert [one.id for one in phone.manual("full")] == ["R-BY-HAND"]
    assert phone.manual("wire") == ()


def test_questions_that_two_modules_ask_in_the_same_words_are_asked_once() -> None:
    assert [feature.id for feature in composed()["phone"].proforma.features] == ["video", "hold"]


def test_a_category_carries_of_the_frame_what_is_about_it() -> None:
    phone, box = composed()["phone"], composed()["box"]
    assert [one.id for one in phone.designations] == ["extra"]
    assert [one.device_type for one in phone.benefits] == ["phone"]
    assert [one.programme for one in phone.holders_of] == ["old"]
    assert (box.designations, box.benefits) == ((), ())
    assert [one.programme for one in box.holders_of] == ["old", "older"]


@pytest.mark.parametrize("programme", shipped_programmes(), ids=lambda programme: programme.id)
def test_what_is_composed_stands_by_itself_and_keeps_its_digest(programme: Programme) -> None:
    again = Programme.model_validate_json(programme.model_dump_json())
    assert again.digest == programme.digest
    assert again == programme


def test_the_shipped_programmes_are_those_that_submissions_are_bound_to() -> None:
    """A digest changes with any word. Where that is wanted, give the programme another version."""
    assert [f"{one.id} {one.version} {one.digest}" for one in shipped_programmes()] == GOLDEN.read_text().splitlines()


def test_every_mistake_of_every_file_is_found_at_once_with_its_place() -> None:
    found = broken(
        ("programme.yaml", "deprecated_from: 2027-01-01", "deprecated_from: 2025-01-01"),
        ("programme.yaml", "requirements: [R-BY-HAND]", "requirements: [R-NONE]"),
        ("programme.yaml", "categories: [phone]", "categories: [fax]"),
        ("phone.yaml", "{module: hands,", "{module: hand,"),
        ("phone.yaml", "title: Phone\n", "title: Phone\ncolour: red\n"),
        ("modules/calls.yaml", "unit: bool", "unit: furlong"),
        ("modules/calls.yaml", "high: {max: 500", "high: {max: 5000"),
        ("modules/late.yaml", "condition: hold", "condition: invented"),
        ("modules/late.yaml", "then: hold", "then: nothing"),
        ("modules/late.yaml", "id: R-LATE", "id: R-CALL"),
        ("modules/late.yaml", "case: TC-2", "case: TC-NONE"),
        ("modules/hands.yaml", "    instructions: Hold it.\n", ""),
    )
    for path, wrong in {
        "programme.yaml: lifecycle.deprecated_from": "2025-01-01 lies before available_from 2026-01-01",
        "programme.yaml: designations[0].requirements[0]": "R-NONE, which there is not",
        "programme.yaml: benefits[0].categories[0]": "names category fax",
        "phone.yaml: modules[2].module": "there is no module hand",
        "phone.yaml: colour": "is not a field here",
        "modules/calls.yaml: requirements[0].checks[0].unit": "'furlong'",
        "modules/calls.yaml: requirements[0].checks[1].limits.high": "is weaker than low",
        "modules/late.yaml: requirements[0].condition": "names invented",
        "modules/late.yaml: proforma.rules[0].then": "names nothing",
        "modules/late.yaml: requirements[0].id": "R-CALL stands twice",
        "modules/late.yaml: requirements[0].case": "TC-NONE, which no suite has",
        "modules/late.yaml: suites[0].cases[0].id": "TC-2 is measured and no requirement asks for it",
        "modules/hands.yaml: requirements[0].instructions": "no test case, so it is manual",
        "modules/hands.yaml": "no category is built from it",
    }.items():
        assert wrong in found.pop(path, ""), path
    assert found == {}


def test_a_mistake_that_only_some_categories_have_names_them() -> None:
    conditional = "criterion: standard\n    kind: conditional\n    condition: hold"
    found = broken(("modules/calls.yaml", "criterion: standard", conditional))
    assert found == {"modules/calls.yaml: requirements[0].condition": "'hold' names hold (in box)"}


@pytest.mark.parametrize(
    ("change", "path", "wrong"),
    [
        (("phone.yaml", "profiles: [full]", "profiles: [air]"), "phone.yaml: modules[2].profiles[0]", "profile air"),
        (("phone.yaml", "category: phone", "category: fon"), "phone.yaml: category", "is fon in the file phone.yaml"),
        (("modules/late.yaml", "module: late", "module: slow"), "modules/late.yaml: module", "is slow in the file"),
        (("phone.yaml", "module: late", "module: calls"), "phone.yaml: modules[1].module", "calls stands twice"),
        (("modules/late.yaml", "Has it video?", "Video?"), "modules/late.yaml: proforma.features[0]", "in other words"),
        (("programme.yaml", "programme: old,", "programme: pack,"), "programme.yaml: holders_of[0].programme", "this"),
        (("programme.yaml", "id: high", "id: low"), "programme.yaml: levels[1].id", "level low stands twice"),
        (("programme.yaml", "2026-01-01", "2026-13-45"), "programme.yaml", "holds a value that is none"),
        (("modules/late.yaml", "module: late", "module: [late"), "modules/late.yaml", "expected"),
        (
            ("modules/hands.yaml", "low: {equals: true", "mid: {equals: true"),
            "modules/hands.yaml: requirements[0].checks[0].limits.mid",
            "unknown level mid",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_found_at_its_place(change: tuple[str, str, str], path: str, wrong: str) -> None:
    assert wrong in broken(change)[path]


def test_a_designation_that_no_category_has_all_of_is_told() -> None:
    found = broken(("phone.yaml", "  - {module: late, profiles: [wire, full]}\n", ""),
                   ("box.yaml", "  - {module: calls, profiles: [full]}\n", "  - {module: late, profiles: [full]}\n"),
                   ("programme.yaml", "[R-BY-HAND]", "[R-BY-HAND, R-LATE]"))  # fmt: skip
    assert "no one category has together" in found["programme.yaml: designations[0].requirements"]


def test_a_mark_of_somebody_else_is_never_granted() -> None:
    mark = "\nmark: {name: Their mark, owner: Them, statement: Theirs.}\n"
    texts = FILES | {"programme.yaml": FILES["programme.yaml"] + mark}
    assert parse_package(texts, source="pack").frame.mark is not None
    texts["programme.yaml"] = texts["programme.yaml"].replace("demonstration: true", "demonstration: false")
    with pytest.raises(BadInput) as caught:
        parse_package(texts, source="pack")
    (problem,) = caught.value.problems
    assert problem.path == "programme.yaml: demonstration"
    assert "Them's to grant" in problem.wrong
    assert "owner's key" in problem.expected


@pytest.mark.parametrize(
    ("ends", "path"),
    [
        (["day: 2019-01-01"], "platforms[0].ends[0].day"),
        (["day: 2024-01-01", "day: 2024-01-01"], "platforms[0].ends[1].day"),
        (
            ["day: 2024-01-01, decided_on: 2023-01-01", "day: 2025-01-01, decided_on: 2022-01-01"],
            "platforms[0].ends[1].decided_on",
        ),
    ],
)
def test_ends_of_a_platform_are_a_history(ends: list[str], path: str) -> None:
    history = ", ".join(f"{{{end}, reason: a, source: {{text: b, mark: read}}}}" for end in ends)
    platform = f"\nplatforms: [{{id: p, title: P, released: 2020-01-01, ends: [{history}]}}]\n"
    found = broken(also={"programme.yaml": FILES["programme.yaml"] + platform})
    assert list(found) == [f"programme.yaml: {path}"]


def test_what_is_no_package_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read_package(tmp_path)
    assert {problem.path for problem in caught.value.problems} == {"programme.yaml", ""}
    (tmp_path / "programme.yaml").write_bytes(b"\xff")
    with pytest.raises(BadInput, match="is not UTF-8"):
        programmes_at(tmp_path)


def test_the_two_shipped_packages_are_demonstrations_of_marks_that_their_owner_grants() -> None:
    assert PACKAGES == ["microsoft-teams", "skype-for-business"]
    for name in PACKAGES:
        package = read_package(SHIPPED / name)
        assert package.frame.demonstration
        assert package.frame.mark is not None
        assert "only its owner may grant it" in package.frame.mark.statement


def test_the_programmes_have_the_levels_and_categories_that_they_are_known_for() -> None:
    older, newer = (read_package(SHIPPED / name) for name in ("skype-for-business", "microsoft-teams"))
    assert [level.title for level in older.frame.levels] == [
        "Works with Skype for Business",
        "Certified for Skype for Business",
    ]
    assert {one.category for one in older.programmes} == {
        "infrastructure", "ip-phone", "meeting-room", "networking", "pc", "service", "software", "speakerphone",
        "usb-headset",
    }  # fmt: skip
    assert [level.title for level in newer.frame.levels] == ["Certified for Microsoft Teams"]
    (relation,) = newer.frame.holders_of
    assert (relation.programme, relation.count) == ("skype-for-business", False)
    assert {one.device_type for one in newer.frame.benefits} == {"phone", "room", "personal"}
    assert "firmware-certified-itself" in {one.id for one in newer.frame.stipulations}


def test_an_end_that_was_extended_keeps_what_was_decided_before() -> None:
    platforms = {one.id: one for one in read_package(SHIPPED / "microsoft-teams").frame.platforms}
    assert [str(end.day) for end in platforms["android-10"].ends] == ["2024-09-03", "2025-09-03"]
    assert str(platforms["android-12"].end.day) == "2027-08-15"
    assert len(platforms) == 6


def test_the_digital_profile_of_a_phone_has_a_procedure_for_everything_and_the_wider_one_says_what_has_none() -> None:
    phone = next(one for one in shipped_programmes() if one.id == "skype-for-business.ip-phone")
    basic = read_programme(SHIPPED / "ip-phone-basic.yaml")
    assert phone.manual("digital") == ()
    manual = {one.id for one in phone.manual("full")}
    assert "IP-SIP-12" in manual
    assert not {"IP-SIP-04", "IP-SIP-10"} & manual
    assert not manual & {one.id for one in phone.of_profile("digital")}
    shared = {case.id: case for suite in phone.suites for case in suite.cases}
    for case in basic.suites[0].cases:  # the same method, wherever it is asked for
        here = shared[case.id]
        assert here == case.model_copy(update={"condition": None, "duration_s": here.duration_s})
    # What looks back over the run comes late; after it only what points the phone at another server.
    assert [case.id for case in phone.suites[0].cases][-4:] == ["TC-REG-02", "TC-SEC-01", "TC-SEC-02", "TC-SEC-04"]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_schemas_take_every_shipped_file(package: str) -> None:
    for name, text in package_texts(SHIPPED / package).items():
        jsonschema.validate(as_json(text), schema_of(name).model_json_schema())


def schema_of(name: str) -> type[Noun]:
    if name == "programme.yaml":
        return Frame
    return Module if name.startswith("modules/") else Category


def as_json(text: str) -> Any:
    """A document as an editor sees it: days are text."""
    return _days_as_text(yaml.safe_load(text))


def _days_as_text(data: Any) -> Any:
    match data:
        case dict():
            return {key: _days_as_text(value) for key, value in data.items()}
        case list():
            return [_days_as_text(value) for value in data]
        case str() | bool() | int() | float() | None:
            return data
    return str(data)


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("programme.yaml", "demonstration: true", "demonstration: perhaps"),
        ("phone.yaml", "title: Phone", "titel: Phone"),
        ("modules/calls.yaml", "unit: bool", "unit: furlong"),
        ("modules/hands.yaml", "kind: optional", "kind: whenever"),
    ],
)
def test_the_schemas_refuse_a_broken_file(file: str, before: str, after: str) -> None:
    schema = schema_of(file).model_json_schema()
    jsonschema.validate(as_json(FILES[file]), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(as_json(FILES[file].replace(before, after)), schema)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with a key of it."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data))) if isinstance(data, list) else []
    return [(data, key) for key in keys] + [place for key in keys for place in places(data[key])]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data(), ANYTHING)
def test_whatever_stands_anywhere_in_a_package_it_is_taken_or_refused_with_places(
    file: str, draw: st.DataObject, value: Any
) -> None:
    data = yaml.safe_load(FILES[file])
    there = places(data)
    container, key = there[draw.draw(st.integers(0, len(there) - 1))]
    container[key] = value
    refused_or_taken(lambda: parse_package(FILES | {file: yaml.safe_dump(data, allow_unicode=True)}, source="pack"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.text(max_size=60) | ANYTHING.map(yaml.safe_dump))
def test_whatever_a_file_is_it_is_taken_or_refused(file: str, text: str) -> None:
    refused_or_taken(lambda: parse_package(FILES | {file: text}, source="pack"))
    refused_or_taken(lambda: parse_yaml(text, Programme, source="one", apart="requirements"))


@pytest.mark.parametrize(
    "text",
    [
        "2026-99-99", "[1, 2026-02-30]", "!!binary '*'", "{[1]: 2}", "0x", "1:99:99", "!!int x", "!!float x",
        "!!set {a}", "? {}\n: 1", "- !!timestamp x", "9" * 5000, "\x00", "!!python/object:os.system x", "{<<: 1}",
    ],
)  # fmt: skip
def test_scalars_that_are_none_are_refused_and_do_no_harm(text: str) -> None:
    refused_or_taken(lambda: parse_package(FILES | {"phone.yaml": text}, source="pack"))


def refused_or_taken(take: Callable[[], object]) -> None:
    """Nothing but a refusal in words comes of it, and each problem says what is wrong and what was expected."""
    try:
        take()
    except BadInput as error:
        assert str(error)
        assert all(problem.wrong and problem.expected for problem in error.problems)
