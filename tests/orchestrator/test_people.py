"""Letting in, tokens, codes and passwords, against a real database; and that the audit sees a right nobody gave."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from lab_inventory.clock import ManualClock
from lab_inventory.errors import BadInput, Conflict, Forbidden, NotFound, Unauthorised
from orchestrator import passwords
from orchestrator.lifecycle.person import TokenKind
from orchestrator.lifecycle.rights import SCOPES, Principal, Role, Scope, against_roles
from orchestrator.people import CODE_TTL, PAGE_TTL, TOKENS_MAX, People
from orchestrator.store import tables as t
from orchestrator.store.audit import audit
from orchestrator.store.store import Store

PASSWORD = "correct horse battery"


class Office:
    """People on a database of their own, with a clock that a test turns."""

    def __init__(self, work: Path) -> None:
        self.clock = ManualClock()
        self.store = Store(f"sqlite:///{work / 'assay.sqlite'}", self.clock)
        self.people = People(self.store, self.clock)
        self.people.first("anna", (Role.ADMIN, Role.OPERATOR))

    def principal(self, name: str, *roles: Role) -> Principal:
        scopes = frozenset[Scope]().union(*(SCOPES[role] for role in roles))
        return Principal(subject=name, roles=frozenset(roles), scopes=scopes)

    def findings(self) -> tuple[str, ...]:
        with self.store.reading() as connection:
            return audit(connection).findings


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    assert made.findings() == ()
    made.store.close()


@pytest.mark.parametrize(
    ("roles", "vendor", "why"),
    [
        ((), None, "needs a role"),
        ((Role.AGENT,), None, "belongs to lab hosts"),
        ((Role.VENDOR, Role.DECIDER), "Acme", "no other role"),
        ((Role.VENDOR,), None, "goes with the vendor's name"),
        ((Role.OPERATOR,), "Acme", "goes with the vendor's name"),
        ((Role.OPERATOR, Role.REVIEWER), None, ""),
        ((Role.VENDOR,), "Acme", ""),
    ],
)
def test_roles_that_do_not_go_together_are_named(roles: tuple[Role, ...], vendor: str | None, why: str) -> None:
    found = against_roles(roles, vendor)
    assert why in found
    assert bool(found) is bool(why)


def test_there_is_one_first_person_and_a_way_back_in_that_the_journal_tells_of(office: Office) -> None:
    with pytest.raises(Conflict, match="anna can let people in"):
        office.people.first("eve", (Role.ADMIN,))
    with pytest.raises(BadInput, match="needs the role admin"):
        office.people.first("eve", (Role.OPERATOR,), recover=True)
    office.people.first("eve", (Role.ADMIN,), recover=True)
    with office.store.reading() as connection:
        bodies = list(connection.execute(t.journal.select().where(t.journal.c.entity == "eve")))
    assert '"by":"recovery"' in bodies[0].body


def test_the_last_who_can_let_people_in_cannot_be_shut_out(office: Office) -> None:
    with pytest.raises(Conflict, match="the only one"):
        office.people.disable("anna", "left", "anna")
    with pytest.raises(Conflict, match="the only one"):
        office.people.change("anna", (Role.VIEWER,), None, "anna")
    office.people.add("bert", (Role.ADMIN,), None, "anna")
    office.people.disable("anna", "left", "bert")
    with pytest.raises(Conflict, match="the only one"):
        office.people.disable("bert", "left", "bert")


def test_a_name_is_never_used_twice(office: Office) -> None:
    office.people.add("carl", (Role.VIEWER,), None, "anna")
    office.people.disable("carl", "left", "anna")
    with pytest.raises(Conflict, match="never used twice"):
        office.people.add("carl", (Role.VIEWER,), None, "anna")


def test_a_code_is_good_once_and_for_a_day_and_a_newer_one_ends_it(office: Office) -> None:
    older, newer = office.people.code("anna", "anna"), office.people.code("anna", "anna")
    with pytest.raises(Unauthorised):
        office.people.by_code(older.secret)
    assert office.people.by_code(newer.secret).person == "anna"
    with pytest.raises(Unauthorised, match="used before"):
        office.people.by_code(newer.secret)
    late = office.people.code("anna", "anna")
    office.clock.advance(CODE_TTL.total_seconds())
    with pytest.raises(Unauthorised):
        office.people.by_code(late.secret)


def test_a_token_stands_for_nobody_once_it_has_expired_or_of_another_kind(office: Office) -> None:
    asking = office.principal("anna", Role.ADMIN)
    token = office.people.make_token(asking, "short", frozenset({Scope.OWN}), 1)
    found = office.people.by_token(token.secret, TokenKind.API)
    assert found is not None
    assert found.scopes == {Scope.OWN}
    assert office.people.by_token(token.secret, TokenKind.PAGE) is None
    assert office.people.by_token(token.secret + "x", TokenKind.API) is None
    office.clock.advance(timedelta(days=1).total_seconds())
    assert office.people.by_token(token.secret, TokenKind.API) is None


def test_nobody_hands_on_what_they_do_not_have_nor_ends_what_is_not_theirs(office: Office) -> None:
    office.people.add("carl", (Role.VIEWER,), None, "anna")
    carl, anna = office.principal("carl", Role.VIEWER), office.principal("anna", Role.ADMIN)
    with pytest.raises(Forbidden, match="people:write"):
        office.people.make_token(carl, "more", frozenset({Scope.PEOPLE_WRITE}), 1)
    token = office.people.make_token(anna, "hers", frozenset(), 1).token
    with pytest.raises(NotFound):
        office.people.end_token(token, carl)
    his = office.people.make_token(carl, "his", frozenset(), 1).token
    office.people.end_token(his, anna)
    with pytest.raises(Conflict):
        office.people.end_token(his, anna)


def test_tokens_are_bounded_and_browsers_push_out_the_oldest(office: Office) -> None:
    anna = office.principal("anna", Role.ADMIN)
    for number in range(TOKENS_MAX):
        office.people.make_token(anna, f"t{number}", frozenset(), 1)
    with pytest.raises(Conflict, match="revoke one"):
        office.people.make_token(anna, "one more", frozenset(), 1)
    browsers = []
    for _ in range(TOKENS_MAX + 1):
        office.clock.advance(1)
        browsers.append(office.people.sign_in("anna").secret)
    alive = [secret for secret in browsers if office.people.by_token(secret, TokenKind.PAGE)]
    assert alive == browsers[1:]
    office.clock.advance(PAGE_TTL.total_seconds())
    assert office.people.by_token(browsers[-1], TokenKind.PAGE) is None


def test_a_password_signs_in_and_a_new_one_signs_out_every_other_browser(office: Office) -> None:
    here, elsewhere = office.people.sign_in("anna"), office.people.sign_in("anna")
    office.people.set_password("anna", PASSWORD, keep=here.token)
    assert office.people.by_token(here.secret, TokenKind.PAGE)
    assert office.people.by_token(elsewhere.secret, TokenKind.PAGE) is None
    assert office.people.by_password("anna", PASSWORD).person == "anna"
    for name, password in (("anna", PASSWORD + "x"), ("nobody", PASSWORD), ("anna", "")):
        with pytest.raises(Unauthorised, match="name or password is wrong"):
            office.people.by_password(name, password)
    with office.store.reading() as connection:
        (kept,) = connection.execute(t.persons.select().where(t.persons.c.person == "anna"))
    assert PASSWORD not in str(kept)


@pytest.mark.parametrize("password", ["short", "a" * 300, "aaaaaaaaaaaaaaa", "xx-Anna-anna-xx", ""])
def test_passwords_that_are_guessed_at_once_are_refused(office: Office, password: str) -> None:
    with pytest.raises(BadInput, match="cannot be the password"):
        office.people.set_password("anna", password, keep="")


def test_who_is_disabled_is_nobody_whatever_is_shown(office: Office) -> None:
    office.people.add("carl", (Role.VIEWER,), None, "anna")
    office.people.set_password("carl", PASSWORD, keep="")
    code, page = office.people.code("carl", "anna"), office.people.sign_in("carl")
    office.people.disable("carl", "left", "anna")
    assert office.people.by_token(page.secret, TokenKind.PAGE) is None
    with pytest.raises(Unauthorised):
        office.people.by_code(code.secret)
    with pytest.raises(Unauthorised):
        office.people.by_password("carl", PASSWORD)
    with pytest.raises(Conflict, match="disabled"):
        office.people.code("carl", "anna")


def test_the_audit_finds_a_right_that_nobody_gave(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.people.add("carl", (Role.VIEWER,), None, "anna")
    office.people.make_token(office.principal("carl", Role.VIEWER), "his", frozenset({Scope.OWN}), 1)
    for change in (
        update(t.persons).where(t.persons.c.person == "carl").values(roles="admin"),
        update(t.person_tokens).values(scopes="none"),
        update(t.person_tokens).values(person="anna"),
    ):
        assert office.findings() == ()
        with office.store.engine.begin() as connection:
            before = [list(connection.execute(table.select())) for table in (t.persons, t.person_tokens)]
            connection.execute(change)
        assert office.findings() != ()
        with office.store.engine.begin() as connection:
            for table, rows in zip((t.persons, t.person_tokens), before, strict=True):
                key = next(iter(table.primary_key.columns))
                for row in rows:
                    connection.execute(update(table).where(key == row[0]).values(dict(row._mapping)))
    office.store.close()


def test_what_is_kept_of_a_password_differs_by_its_salt_and_is_right_for_it_alone() -> None:
    one, other = passwords.kept(PASSWORD, b"0" * 16), passwords.kept(PASSWORD, b"1" * 16)
    assert one != other
    assert passwords.is_right(PASSWORD, one)
    assert not passwords.is_right(PASSWORD + " ", one)
    assert not passwords.is_right("", None)
