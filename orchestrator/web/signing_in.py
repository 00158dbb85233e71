"""Signing in and out, and the page of one's own account: the only pages that change anything."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from lab_inventory.errors import AssayError, BadInput, Forbidden, Unauthorised
from lab_inventory.trust import is_loopback
from orchestrator import logs
from orchestrator.api.parts import COOKIES, Parts, PartsOf, Public, address_of, by_cookie, cookie_of, whence
from orchestrator.people import PAGE_TTL
from orchestrator.store import people_views
from orchestrator.store.people_views import PersonView
from orchestrator.web.layout import HEADERS, SeesOwn, require_our_form, show

router = APIRouter(include_in_schema=False)
Short = Annotated[str, Form(max_length=300)]
Next = Annotated[str, Query(alias="next", max_length=500)]


@router.get("/sign-in", dependencies=[Public])
def show_sign_in(request: Request, where: Next = "/", code: Annotated[str, Query(max_length=200)] = "") -> HTMLResponse:
    """The page to sign in on; ``code`` is filled in from a link, and counts only once its button is pressed."""
    return show("sign_in.html", request, by_cookie(request), next=_local(where), code=code, wrong="")


@router.post("/sign-in", dependencies=[Public])
def sign_in(
    request: Request,
    parts: PartsOf,
    person: Short = "",
    password: Short = "",
    code: Short = "",
    new_password: Short = "",
    next: Short = "/",
) -> Response:
    """Sign in with a code, or with name and password; with a code a new password may be chosen."""
    require_our_form(request)
    where = _local(next)
    try:
        _require_safe(request)
        found = _who(request, parts, person.strip(), password, code.strip())
        logs.note(by=found.person)
        made = parts.people.sign_in(found.person)
        if new_password and code:
            parts.people.set_password(found.person, new_password, keep=made.token)
    except AssayError as error:
        return show("sign_in.html", request, None, status=error.status, next=where, code=code, wrong=str(error))
    earlier = cookie_of(request)
    if earlier:
        parts.people.sign_out(earlier)
    answer = RedirectResponse(where, status_code=303, headers=HEADERS)
    answer.set_cookie(
        COOKIES[request.url.scheme],
        made.secret,
        max_age=int(PAGE_TTL.total_seconds()),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


def _who(request: Request, parts: Parts, person: str, password: str, code: str) -> PersonView:
    address = whence(request)
    if code:
        with parts.admission.counting_failures(address):
            return parts.people.by_code(code)
    if not person or not password:
        raise BadInput("give your name and password, or a code")
    with parts.admission.slowing_guesses(address, f"person {person}"):
        return parts.people.by_password(person, password)


def _require_safe(request: Request) -> None:
    """Raise Forbidden where the cookie would go over a network in clear."""
    if request.url.scheme != "https" and not is_loopback(address_of(request)):
        raise Forbidden("signing in needs https, or a browser on the machine of the server")


def _local(where: str) -> str:
    """An address on this server, whatever was asked for."""
    return where if where.startswith("/") and not where.startswith(("//", "/\\")) and where.isprintable() else "/"


@router.post("/sign-out")
def sign_out(request: Request, parts: PartsOf, asking: SeesOwn, form: Short = "") -> Response:
    """Forget this browser."""
    require_our_form(request, form)
    parts.people.sign_out(cookie_of(request))
    answer = RedirectResponse("/sign-in", status_code=303, headers=HEADERS)
    answer.delete_cookie(COOKIES[request.url.scheme], secure=request.url.scheme == "https", httponly=True)
    return answer


@router.get("/me")
def show_me(request: Request, parts: PartsOf, asking: SeesOwn) -> HTMLResponse:
    """One's own account."""
    return _me(request, parts, asking)


def _me(request: Request, parts: Parts, asking: SeesOwn, *, wrong: str = "", status: int = 200) -> HTMLResponse:
    with parts.store.reading() as connection:
        tokens = people_views.tokens(connection, asking.subject, parts.desk.clock.now())
        known = people_views.person(connection, asking.subject)
    has_password = known is not None and known.password is not None
    return show("me.html", request, asking, status, tokens=tokens, has_password=has_password, wrong=wrong)


@router.post("/me/password")
def change_password(
    request: Request,
    parts: PartsOf,
    asking: SeesOwn,
    password: Short = "",
    new_password: Short = "",
    form: Short = "",
) -> Response:
    """Choose another password; the one from before is needed."""
    require_our_form(request, form)
    try:
        try:
            with parts.admission.slowing_guesses(f"person {asking.subject}"):
                parts.people.by_password(asking.subject, password)
        except Unauthorised as error:
            raise BadInput("the password until now is wrong") from error
        parts.people.set_password(asking.subject, new_password, keep=asking.token)
    except AssayError as error:
        return _me(request, parts, asking, wrong=str(error), status=error.status)
    return RedirectResponse("/me", status_code=303, headers=HEADERS)


@router.post("/me/tokens/{token}/revoke")
def revoke(request: Request, parts: PartsOf, asking: SeesOwn, token: str, form: Short = "") -> Response:
    """End one of one's tokens or sign-ins."""
    require_our_form(request, form)
    parts.people.end_token(token, asking)
    return RedirectResponse("/me", status_code=303, headers=HEADERS)
