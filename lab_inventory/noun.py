"""The base of every noun and the names they are written with. Takes nothing, does nothing: types only."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class Noun(BaseModel):
    """Frozen, keyword-only data; fields it does not know are refused; NaN and infinity are no numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
"""A name people give and programs compare: letters, digits and ``. _ : -``, at most 64."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A short text for people: one line, no control characters, at most 120."""

Text = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
"""A longer text for people, at most 2000 characters."""

Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$"),
]
"""What somebody says of something: 1 to 2000 characters, not only spaces."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A content address."""

Address = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.\[\]:-]{1,255}:[0-9]{1,5}$")]
"""``host:port``."""


def host_and_port(address: str) -> tuple[str, int]:
    """Split an :data:`Address` into its host and its port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


_SAYS_NOTHING = re.compile(r"[\W_]*(n\W*a|tb[acd]|to\W?do|none|nil|unknown|x+|)[\W_]*", re.IGNORECASE)


def says_nothing(text: str) -> bool:
    """Whether a text is empty or a filler like "N/A" or "TBD"."""
    return _SAYS_NOTHING.fullmatch(text) is not None
