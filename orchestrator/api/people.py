"""Who may come in: people and roles (for admins), one's own tokens, signing in for an API token."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import AwareDatetime, Field, SecretStr, model_validator

from lab_inventory.errors import BadInput, Forbidden
from lab_inventory.noun import Label, Name, Noun, Text
from orchestrator import logs
from orchestrator.api.parts import Parts, PartsOf, PeopleWrite, Public, Somebody, whence
from orchestrator.lifecycle.rights import SCOPES, Role, Scope, scopes_of
from orchestrator.people import DAYS_DEFAULT, DAYS_MAX
from orchestrator.store import people_views

router = APIRouter(prefix="/v1", tags=["people"])
Row = dict[str, Any]
PersonName = Annotated[Name, Path(examples=["alice"])]


class Roles(Noun):
    """The roles of somebody; ``vendor`` goes with the role vendor: whose things alone are seen and submitted."""

    roles: tuple[Role, ...] = Field(min_length=1, max_length=len(Role), examples=[["operator"]])
    vendor: Label | None = Field(default=None, examples=[None])


class NewPerson(Roles):
    """Somebody to be let in."""

    person: Name = Field(examples=["alice"])


class Reason(Noun):
    """Why."""

    reason: Text = Field(default="", examples=["left the lab"])


class TokenRequest(Noun):
    """An API token for oneself. ``scopes`` empty: whatever the token may that was shown."""

    title: Label = Field(examples=["nightly batches"])
    scopes: tuple[Scope, ...] = Field(default=(), max_length=len(Scope), examples=[["batches:submit"]])
    days: int = Field(default=DAYS_DEFAULT, ge=1, le=DAYS_MAX)


class SignIn(TokenRequest):
    """Who one is, by a code or by name and password, and the API token that is wanted."""

    code: SecretStr | None = Field(default=None, max_length=200, examples=["asy_code_..."])
    person: Name | None = None
    password: SecretStr | None = Field(default=None, max_length=256)

    @model_validator(mode="after")
    def _one_way(self) -> "SignIn":
        by_password = (self.person is not None, self.password is not None)
        if any(by_password) == (self.code is not None) or any(by_password) != all(by_password):
            raise ValueError("give a code, or a name and a password")
        return self


class Made(Noun):
    """What was just made; ``secret`` is never told again."""

    token: str
    secret: str
    expires_at: AwareDatetime


@router.get("/people")
def list_people(parts: PartsOf, asking: PeopleWrite) -> list[Row]:
    """Everybody who was ever let in, with their roles."""
    with parts.store.reading() as connection:
        return people_views.people(connection)


@router.post("/people", status_code=201)
def add_person(new: NewPerson, parts: PartsOf, asking: PeopleWrite) -> Made:
    """Let somebody in; gives the code with which they sign in for the first time, within a day."""
    parts.people.add(new.person, new.roles, new.vendor, asking.subject)
    return _code(parts, new.person, asking.subject)


@router.put("/people/{person}/roles", status_code=204)
def change_roles(person: PersonName, roles: Roles, parts: PartsOf, asking: PeopleWrite) -> Response:
    """Give somebody these roles instead of those before, from the next request on."""
    parts.people.change(person, roles.roles, roles.vendor, asking.subject)
    return Response(status_code=204)


@router.post("/people/{person}/disable", status_code=204)
def disable_person(
    person: PersonName, body: Annotated[Reason, Body()], parts: PartsOf, asking: PeopleWrite
) -> Response:
    """Take every right from somebody at once, and end their tokens."""
    parts.people.disable(person, body.reason, asking.subject)
    return Response(status_code=204)


@router.post("/people/{person}/enable", status_code=204)
def enable_person(person: PersonName, parts: PartsOf, asking: PeopleWrite) -> Response:
    """Let somebody in again."""
    parts.people.enable(person, asking.subject)
    return Response(status_code=204)


@router.post("/people/{person}/code", status_code=201)
def make_code(person: PersonName, parts: PartsOf, asking: PeopleWrite) -> Made:
    """A code with which somebody signs in once, within a day, and may choose a new password."""
    return _code(parts, person, asking.subject)


def _code(parts: Parts, person: str, by: str) -> Made:
    made = parts.people.code(person, by)
    return Made(token=made.token, secret=made.secret, expires_at=made.expires_at)


@router.get("/me")
def show_me(parts: PartsOf, asking: Somebody) -> Row:
    """Who is asking, and what they may."""
    return {
        "person": asking.subject,
        "roles": sorted(asking.roles),
        "vendor": asking.vendor,
        "scopes": sorted(asking.scopes),
    }


@router.get("/roles")
def list_roles(asking: Somebody) -> dict[str, list[str]]:
    """The roles that people have, and the scopes of each."""
    return {role.value: sorted(scopes) for role, scopes in SCOPES.items() if role is not Role.AGENT}


@router.get("/tokens")
def list_tokens(
    parts: PartsOf, asking: Somebody, everybody: Annotated[bool, Query(description="of everybody, for admins")] = False
) -> list[Row]:
    """One's live tokens, newest first; never what is secret of them."""
    if everybody and Scope.PEOPLE_WRITE not in asking.scopes:
        raise Forbidden(f"everybody's tokens are listed with the scope {Scope.PEOPLE_WRITE.value}")
    with parts.store.reading() as connection:
        return people_views.tokens(connection, None if everybody else asking.subject, parts.desk.clock.now())


@router.post("/tokens", status_code=201)
def make_token(wanted: TokenRequest, parts: PartsOf, asking: Somebody) -> Made:
    """An API token for oneself, with no more rights than the one that was shown."""
    made = parts.people.make_token(asking, wanted.title, frozenset(wanted.scopes), wanted.days)
    return Made(token=made.token, secret=made.secret, expires_at=made.expires_at)


@router.post("/tokens/{token}/revoke", status_code=204)
def revoke_token(token: PersonName, parts: PartsOf, asking: Somebody) -> Response:
    """End a token: the next request with it is refused."""
    parts.people.end_token(token, asking)
    return Response(status_code=204)


@router.post("/sign-in", status_code=201, dependencies=[Public])
def sign_in(wanted: SignIn, parts: PartsOf, request: Request) -> Made:
    """An API token for who shows a code, or name and password."""
    if wanted.code is not None:
        with parts.admission.counting_failures(whence(request)):
            person = parts.people.by_code(wanted.code.get_secret_value())
    else:
        assert wanted.person is not None and wanted.password is not None  # noqa: S101
        with parts.admission.slowing_guesses(whence(request), f"person {wanted.person}"):
            person = parts.people.by_password(wanted.person, wanted.password.get_secret_value())
    logs.note(by=person.person)
    beyond = sorted(frozenset(wanted.scopes) - scopes_of(person.roles))
    if beyond:
        raise BadInput(f"{person.person} has no scope {', '.join(beyond)}; without scopes the token has all there are")
    made = parts.people.api_token(person.person, wanted.title, frozenset(wanted.scopes), wanted.days)
    return Made(token=made.token, secret=made.secret, expires_at=made.expires_at)
