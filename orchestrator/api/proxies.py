"""A proxy that ends TLS in front of the server: what it says of its clients is believed, and nobody else is heard."""

import ipaddress
from collections.abc import Sequence
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from lab_inventory.trust import is_loopback
from orchestrator.api.problems import problem


class BehindProxies:
    """Forwarded headers are believed from ``proxies`` (addresses or networks) alone. Who comes past them, from another
    machine and in the clear, is told to come through them.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        self._app = app
        # The same shapes as Starlette's, under types of its own.
        self._forwarded: ASGIApp = cast(Any, ProxyHeadersMiddleware)(app, trusted_hosts=list(proxies))
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = scope["client"][0] if scope["client"] else ""
        if self._is_proxy(address):
            await self._forwarded(scope, receive, send)
        elif is_loopback(address) or scope["scheme"] == "https":
            await self._app(scope, receive, send)
        else:
            detail = "this server is reached over https through its proxy, and not directly in the clear"
            await problem(403, "forbidden", "The credential does not allow this", detail)(scope, receive, send)

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)
