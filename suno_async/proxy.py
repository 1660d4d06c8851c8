"""Which hosts are reached through which proxy: the caller's, or those of the environment."""

import os
import re
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

from aiohttp import ClientHttpProxyError, ClientProxyConnectionError
from attrs import field, frozen
from yarl import URL

from suno_async.errors import InvalidRequest
from suno_async.key import Masked
from suno_async.uri import uri_of

_RULE = "must be the URL of an http or https proxy, without a path"
_OR_NONE = f"{_RULE}, or False for none (for SOCKS, hand in a client_session that speaks it)"
_OF_ENVIRONMENT = f"{_RULE} (proxy=False leaves the environment out)"

# secrets that are shorter could be anybody's words
_LEAST_SECRET = 8


@frozen
class Proxy:
    """An HTTP proxy.

    Attributes:
        url: Where it is, without a user and a password.
        authorization: The value of its header, when it has a user.
        secrets: What must not be shown.
    """

    url: URL
    authorization: Masked | None = field(default=None, repr=False)
    secrets: tuple[Masked, ...] = field(default=(), repr=False)

    def arguments(self, url: URL) -> dict[str, Any]:
        """Give what aiohttp needs to ask for a URL through it.

        `proxy_auth` would do the same, and show the password wherever aiohttp shows a connection.
        """
        if self.authorization is None or url.scheme != "https":
            return {"proxy": self.url}
        return {"proxy": self.url, "proxy_headers": self._headers()}

    def headers(self, url: URL) -> dict[str, str]:
        """Give the headers that a request itself needs: one that is not tunnelled has it all."""
        return {} if self.authorization is None or url.scheme == "https" else self._headers()

    def _headers(self) -> dict[str, str]:
        return {"Proxy-Authorization": self.authorization or ""}


@frozen
class Proxies:
    """Knows through which proxy a URL is asked for.

    Attributes:
        always: The proxy for every host; None when the others decide.
        by_scheme: The proxies for `http` and `https`, but for hosts of this machine.
        bypassed: Which hosts these are not for, as `NO_PROXY` lists them.
    """

    always: Proxy | None = None
    by_scheme: Mapping[str, Proxy] = field(factory=dict[str, Proxy])
    bypassed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.always is not None or bool(self.by_scheme)

    @property
    def secrets(self) -> list[Masked]:
        """What must not be shown."""
        proxies = [self.always] if self.always is not None else [*self.by_scheme.values()]
        return [secret for proxy in proxies for secret in proxy.secrets]

    def proxy_for(self, url: URL) -> Proxy | None:
        """Tell through which proxy a URL is asked for; None for none."""
        if self.always is not None or not self.by_scheme:
            return self.always
        host = (url.host or "").lower().rstrip(".")
        if _is_here(host) or any(_lists(entry, host, url.port) for entry in self.bypassed):
            return None
        return self.by_scheme.get(url.scheme)


def read_proxies(given: object) -> Proxies:
    """Read the caller's proxy, or those of the environment.

    Args:
        given: The masked URL; None for the environment's, False for none.

    Raises:
        InvalidRequest: It, or what the environment holds, is no HTTP proxy.
    """
    if given is None:
        return _of_environment()
    if given is False:
        return Proxies()
    return Proxies(_read(Masked(given) if isinstance(given, str) else None, "proxy", _OR_NONE))


def failure_of_proxy(error: Exception) -> str | None:
    """Say how a proxy failed, None if it was not the proxy: nothing was sent through it.

    Its own words are left out, they may echo a password.
    """
    if isinstance(error, ClientProxyConnectionError):
        return f"the proxy cannot be reached: {error}"
    if not isinstance(error, ClientHttpProxyError):
        return None
    known = error.status in {status.value for status in HTTPStatus}
    phrase = f" ({HTTPStatus(error.status).phrase})" if known else ""
    return f"the proxy answered {error.status}{phrase} and made no connection"


def _of_environment() -> Proxies:
    by_scheme: dict[str, Proxy] = {}
    for scheme in ("http", "https"):
        name, value = _variable(f"{scheme}_proxy")
        if value:
            by_scheme[scheme] = _read(value, name, _OF_ENVIRONMENT)
    _, listed = _variable("no_proxy")
    return Proxies(None, by_scheme, tuple(filter(None, re.split(r"[,\s]+", listed.lower()))))


def _variable(lower: str) -> tuple[str, Masked]:
    """Find a variable in small letters or in capitals; the former counts if there are both."""
    for name in (lower, lower.upper()):
        # a CGI script gets a request's header `Proxy` under this name
        is_header = name == "HTTP_PROXY" and "REQUEST_METHOD" in os.environ
        if name in os.environ and not is_header:
            return name, Masked(os.environ[name].strip())
    return lower, Masked()


def _read(given: Masked | None, name: str, rule: str) -> Proxy:
    proxy = _parsed(given) if given else None
    if proxy is None:  # raised out here: what failed in there may show the password
        raise InvalidRequest(name, "(hidden)", rule)
    return proxy


def _parsed(given: Masked) -> Proxy | None:
    try:
        uri = Masked(uri_of("proxy", given if "://" in given else Masked(f"http://{given!s}")))
    except InvalidRequest:
        return None
    parts = urlsplit(uri)
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        return None
    user, at, place = parts.netloc.rpartition("@")
    url = URL(f"{parts.scheme}://{place}", encoded=True)
    if not at:
        return Proxy(url)
    name, _, password = user.partition(":")
    if ":" in unquote(name):  # RFC 7617: it would end there
        return None
    plain = f"{unquote(name)}:{unquote(password)}"
    token = b64encode(plain.encode()).decode()
    secrets = [token, password, unquote(password)]
    shown = tuple(Masked(one) for one in secrets if len(one) >= _LEAST_SECRET and one.isascii())
    return Proxy(url, Masked(f"Basic {token}"), shown)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_here(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _lists(entry: str, host: str, port: int | None) -> bool:
    """Tell whether an entry of `NO_PROXY` means a host.

    An entry is `*`, a name that means its subdomains too (with or without a dot or `*.` before it),
    an address, or a network such as `10.0.0.0/8`; a port behind it means that port alone.
    """
    name, only_port = _split(entry)
    if only_port is not None and only_port != port:
        return False
    if name == "*":
        return True
    address = _address(host)
    if address is not None:
        try:
            return address in ip_network(name, strict=False)
        except ValueError:
            return False
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,5}))?|([^:]*):(\d{1,5})", entry)
    if found is None:
        return entry, None
    port = found[2] or found[4]
    return found[1] or found[3] or "", int(port) if port else None
