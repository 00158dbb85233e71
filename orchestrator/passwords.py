"""Passwords: what is kept of one, and whether one is right. scrypt with OWASP's parameters of 32 MiB."""

import base64
import hashlib
import hmac

LENGTH_MIN, LENGTH_MAX = 12, 256
_N, _R, _P = 2**15, 8, 1
_MEMORY_MAX = 64 * 1024 * 1024


def against(password: str, person: str) -> str:
    """Why this cannot be a password, or nothing. Length counts; there are no rules about kinds of characters."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        return f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters"
    if len(set(password)) < 5 or person.lower() in password.lower():
        return "this password is guessed at once"
    return ""


def kept(password: str, salt: bytes) -> str:
    """What is kept of a password: parameters, a fresh salt of 16 bytes or more, and digest."""
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(_digest(password, salt, _N, _R, _P))}"


def is_right(password: str, known: str | None) -> bool:
    """Whether ``known`` was made of this password. Takes as long where nothing is known, and is then False."""
    _, n, r, p, salt, digest = (known or _NOBODYS).split("$")
    same = hmac.compare_digest(_digest(password, _bytes(salt), int(n), int(r), int(p)), _bytes(digest))
    return same and known is not None


def _digest(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    given = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(given, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY_MAX, dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


_NOBODYS = f"scrypt${_N}${_R}${_P}${_text(bytes(16))}${_text(bytes(32))}"
