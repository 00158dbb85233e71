"""One GET at the web interface of a phone, for drivers of phones that are controlled by it.

Takes the slot's control address, account and kind of TLS; gives the body of a 200. Whatever else comes of it is a
DriverUnreachable (nobody that may be trusted answers within the time) or a DriverRefused (somebody answers and does not
do it), in words for the person who keeps the lab file. A request is sent again in one case only: signed, after a 401,
which is the phone's word that it did nothing. Redirects are not followed, for who knows where they lead an account.
"""

import asyncio
import re
import ssl

import httpx

from agents.drivers import DriverRefused, DriverUnreachable
from lab_inventory.lab import Account, ControlTls
from lab_inventory.noun import host_and_port

REQUEST_TIMEOUT_S = 3.0
BODY_BYTES_MAX = 100_000
_LOGIN_PAGE = re.compile(rb"<html.*(type=[\"']?password|login)", re.IGNORECASE | re.DOTALL)
_REDIRECTS = range(300, 400)


class HttpControl:
    """The web interface at one control address. ``allows``: what else to look at where it answers 403, in words."""

    def __init__(self, control: str, account: Account | None, tls: ControlTls | None, *, allows: str = "") -> None:
        self._control = control
        self._account = account
        self._tls = tls
        self._allows = allows
        self._auth: httpx.Auth | None = None
        self._client: httpx.AsyncClient | None = None

    async def reach(self) -> None:
        """See that somebody listens there; raises DriverUnreachable where nobody does."""
        host, port = host_and_port(self._control)
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), REQUEST_TIMEOUT_S)
        except (OSError, TimeoutError) as error:
            raise DriverUnreachable(f"nobody listens at the phone's control {self._control}") from error
        writer.close()

    async def close(self) -> None:
        """Let go of the connection; more than once if need be."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get(self, target: str) -> bytes:
        """GET a path with its query, as it goes on the wire."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                answer = await self._signed(target)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise DriverUnreachable(
                f"the phone at {self._control} does not answer within {REQUEST_TIMEOUT_S:g} s"
            ) from error
        except httpx.ConnectError as error:
            raise DriverUnreachable(self._why_no_connection(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = f"what listens at {self._control} does not speak HTTP as a phone does ({type(error).__name__})"
            raise DriverUnreachable(words) from error
        return self._taken(*answer)

    async def _signed(self, target: str) -> tuple[httpx.Response, bytes]:
        answer = await self._once(target, self._auth)
        if answer[0].status_code != httpx.codes.UNAUTHORIZED or self._auth is not None or self._account is None:
            return answer
        name, password = self._account.user, self._account.password.get_secret_value()
        # The phone chooses: with digest the password itself does not go over the wire, with basic it does.
        asked = answer[0].headers.get("WWW-Authenticate", "").lower()
        self._auth = httpx.DigestAuth(name, password) if "digest" in asked else httpx.BasicAuth(name, password)
        answer = await self._once(target, self._auth)
        if answer[0].status_code == httpx.codes.UNAUTHORIZED:
            self._auth = None
        return answer

    async def _once(self, target: str, auth: httpx.Auth | None) -> tuple[httpx.Response, bytes]:
        if self._client is None:
            scheme = "http" if self._tls is None else "https"
            self._client = httpx.AsyncClient(
                base_url=f"{scheme}://{self._control}",
                verify=_trust(self._tls),
                timeout=REQUEST_TIMEOUT_S,
                trust_env=False,
                follow_redirects=False,
            )
        body = bytearray()
        async with self._client.stream("GET", target, auth=auth) as response:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    break
        return response, bytes(body)

    def _taken(self, response: httpx.Response, body: bytes) -> bytes:
        """The body of an answer that says that it was done; raises DriverRefused for any other."""
        status = response.status_code
        if status == httpx.codes.UNAUTHORIZED:
            if self._account is None:
                raise DriverRefused(f"the phone at {self._control} wants an account; the slot has no control_account")
            raise DriverRefused(f"the phone at {self._control} does not take the account {self._account.user}")
        if status == httpx.codes.FORBIDDEN:
            more = f"; {self._allows}" if self._allows else ""
            raise DriverRefused(f"the phone at {self._control} forbids it (403){more}")
        if status in _REDIRECTS:
            wants_tls = self._tls is None and response.headers.get("Location", "").startswith("https:")
            more = "it wants TLS: set control_tls of the slot" if wants_tls else "redirects are not followed"
            raise DriverRefused(f"the phone at {self._control} sends elsewhere ({status}); {more}")
        if status != httpx.codes.OK:
            raise DriverRefused(f"the phone at {self._control} answers {status}")
        if _LOGIN_PAGE.search(body):
            raise DriverRefused(f"the phone at {self._control} answers with a page to log in, and did nothing")
        return body

    def _why_no_connection(self, error: httpx.ConnectError) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return (
                f"the certificate of the phone at {self._control} is of nobody that is trusted; "
                f"'control_tls: {ControlTls.ANY_CERTIFICATE}' takes it all the same"
            )
        return f"no connection to the phone's control {self._control}"


def _trust(tls: ControlTls | None) -> ssl.SSLContext | bool:
    if tls is not ControlTls.ANY_CERTIFICATE:
        return True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
