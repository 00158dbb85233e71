"""What every page is made with: templates, headers, and who is looking."""

import hashlib
import hmac
from datetime import datetime
from importlib import resources
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from lab_inventory.errors import Forbidden
from lab_inventory.outcome import limit_in_words, value_in_words
from orchestrator.api.parts import Needs, bearer, cookie_of, require, who_asks
from orchestrator.lifecycle.rights import Principal, Scope

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "media-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with that, a browser says "null" for the origin of its own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_pages = Environment(
    loader=PackageLoader("orchestrator.web", "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters["time"] = lambda text: datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC") if text else "–"
_pages.filters["value"] = lambda ground: "–" if ground.value is None else value_in_words(ground.value, ground.unit)
_pages.filters["limit"] = lambda ground: limit_in_words(ground.limit, ground.unit)


class SignInNeeded(Exception):
    """Nobody is signed in with this browser."""


class Shows(Needs):
    """As ``Needs``, for pages: who is not signed in is asked to."""

    def __call__(  # type: ignore[override]
        self, request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Principal:
        """Who is looking; raises SignInNeeded, Forbidden."""
        found = who_asks(request, sent, cookies=True)
        if found is None:
            raise SignInNeeded
        return require(found, self.scope)


SeesLab = Annotated[Principal, Depends(Shows(Scope.LAB_READ))]
SeesBatches = Annotated[Principal, Depends(Shows(Scope.BATCHES_READ))]
Submits = Annotated[Principal, Depends(Shows(Scope.BATCHES_SUBMIT))]
Measures = Annotated[Principal, Depends(Shows(Scope.PROMPTS_WRITE))]
Reviews = Annotated[Principal, Depends(Shows(Scope.REVIEW_WRITE))]
Decides = Annotated[Principal, Depends(Shows(Scope.DECISIONS_WRITE))]
ProposesWaivers = Annotated[Principal, Depends(Shows(Scope.WAIVERS_PROPOSE))]
DecidesWaivers = Annotated[Principal, Depends(Shows(Scope.WAIVERS_DECIDE))]
WritesLab = Annotated[Principal, Depends(Shows(Scope.LAB_WRITE))]
SeesOwn = Annotated[Principal, Depends(Shows(Scope.OWN))]


def add_static(app: FastAPI) -> None:
    """Serve the style sheet and the module, and ask who is not signed in to do so."""
    folder = resources.files("orchestrator.web") / "static"
    app.mount("/static", StaticFiles(directory=str(folder)), name="static")

    async def ask(request: Request, error: Exception) -> Response:
        where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        back = f"?next={quote(where)}" if request.method == "GET" and where != "/" else ""
        return RedirectResponse(f"/sign-in{back}", status_code=303, headers=HEADERS)

    app.add_exception_handler(SignInNeeded, ask)


def show(template: str, request: Request, asking: Principal | None, status: int = 200, **content: Any) -> HTMLResponse:
    """A page as this person sees it; None: as anybody does."""
    made = _pages.get_template(template).render(
        asking=asking, form_token=form_token(request), scopes=asking.scopes if asking else (), **content
    )
    return HTMLResponse(made, status_code=status, headers=HEADERS)


def form_token(request: Request) -> str:
    """What each form of a browser that is signed in carries: other sites cannot know it."""
    secret = cookie_of(request)
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest() if secret else ""


def require_our_form(request: Request, token: str | None = None) -> None:
    """Raise Forbidden where a form was sent from elsewhere than one of our pages; ``token``: what it carried."""
    origin = request.headers.get("origin", "")
    if origin != f"{request.url.scheme}://{request.url.netloc}":
        raise Forbidden("this form was not sent from one of these pages")
    if token is not None and not hmac.compare_digest(token.encode("utf-8", "replace"), form_token(request).encode()):
        raise Forbidden("this form is of another sign-in; load the page again")
