"""One tree of errors; the docstring of each is its title, ``slug`` names it on the wire, ``status`` is its HTTP status.

    AssayError
    ├── BadInput            422  file, message or submission that cannot be taken; carries every Problem found
    │   └── TooLarge        413
    ├── Unauthorised        401
    ├── Forbidden           403
    ├── NotFound            404
    ├── Conflict            409
    ├── TooMany             429
    ├── Unavailable         503
    │   └── NoRoom          507
    └── InvariantBroken     500

Refusals that are ordinary business are values with reasons; these are for what is wrong.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: where it stands, what is wrong there, and what was expected."""

    path: str
    wrong: str
    expected: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.path or 'the document'}" + (f" (line {self.line})" if self.line else "")
        return f"{place}: {self.wrong}; expected {self.expected}"


class AssayError(Exception):
    """Something went wrong"""

    slug = "error"
    status = 500

    def __init__(self, detail: str, *, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problems = problems

    @property
    def title(self) -> str:
        """The first line of the class's docstring."""
        return (type(self).__doc__ or "").splitlines()[0]

    def __str__(self) -> str:
        return "\n".join([self.detail, *(f"  {problem}" for problem in self.problems)])


class BadInput(AssayError):
    """The input cannot be taken as it is"""

    slug = "bad-input"
    status = 422


class TooLarge(BadInput):
    """The input is larger than is taken here"""

    slug = "too-large"
    status = 413


class Unauthorised(AssayError):
    """The credential is missing, unknown or no longer valid"""

    slug = "unauthorised"
    status = 401


class Forbidden(AssayError):
    """The credential does not allow this"""

    slug = "forbidden"
    status = 403


class NotFound(AssayError):
    """There is nothing of that name here"""

    slug = "not-found"
    status = 404


class Conflict(AssayError):
    """This contradicts what is already recorded"""

    slug = "conflict"
    status = 409


class TooMany(AssayError):
    """There were too many of these in a short time"""

    slug = "too-many"
    status = 429


class Unavailable(AssayError):
    """This cannot be served now; try again later"""

    slug = "unavailable"
    status = 503


class NoRoom(Unavailable):
    """There is no room left to keep this; try again later"""

    slug = "no-room"
    status = 507


class InvariantBroken(AssayError):
    """A state was met that must not exist; nothing was written"""

    slug = "invariant-broken"
    status = 500
