"""How a session's own connections are made: through which proxy, which certificates, which way."""

import os
import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from math import inf
from ssl import CERT_REQUIRED, SSLContext, create_default_context
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import aiohttp
from aiohttp.abc import AbstractResolver
from attrs import field, frozen
from yarl import URL

from suno_async.errors import InvalidRequest
from suno_async.proxy import Proxies, Proxy, read_proxies

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.tracing import Trace

Trusted: TypeAlias = SSLContext | str | os.PathLike[str]

_TLS_RULE = "must be an ssl.SSLContext, or the path of a file with CA certificates"


class _Connector(aiohttp.TCPConnector):
    """Reuses no connection on which something came that nobody had asked for.

    aiohttp would take it for the answer to the next request, and that answer for the one to the
    request after it, and so on.
    """

    async def _get(
        self, key: "ConnectionKey", traces: "list[Trace]"
    ) -> aiohttp.connector.Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None


def _is_seconds(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= cast("float", value) < inf


def _is_local_address(value: object) -> bool:
    if not isinstance(value, tuple) or len(cast("tuple[object, ...]", value)) != 2:
        return False
    host, port = cast("tuple[object, object]", value)
    if not isinstance(host, str) or port != 0:
        return False
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


# What of aiohttp's TCPConnector may be set. How many connections there are is not: what is under
# way is bounded where it begins, and a call that waited for a connection here would time out.
OPTIONS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "family": (
        "must be socket.AF_INET, AF_INET6 or AF_UNSPEC",
        lambda value: value in (socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC),
    ),
    "happy_eyeballs_delay": (
        "must be seconds, or None",
        lambda value: value is None or _is_seconds(value),
    ),
    "keepalive_timeout": ("must be seconds", _is_seconds),
    "local_addr": ("must be an IP address and the port 0", _is_local_address),
    "resolver": (
        "must be an aiohttp.abc.AbstractResolver",
        lambda value: isinstance(value, AbstractResolver),
    ),
    "socket_factory": ("must be a function of an address", callable),
    "ttl_dns_cache": (
        "must be seconds, or None",
        lambda value: value is None or _is_seconds(value),
    ),
    "use_dns_cache": ("must be True or False", lambda value: isinstance(value, bool)),
}


@frozen(eq=False)
class Network:
    """How connections are made that are no caller's.

    Attributes:
        proxies: Which hosts are reached through which proxy.
        trusted: Which certificates are; None for those that the system trusts.
        options: More arguments of `aiohttp.TCPConnector`.
    """

    proxies: Proxies = field(factory=Proxies)
    trusted: SSLContext | None = None
    options: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)

    def proxy_for(self, url: URL) -> Proxy | None:
        """Tell through which proxy a URL is asked for; None for none."""
        return self.proxies.proxy_for(url)

    def connector(self, **own: Any) -> aiohttp.TCPConnector:
        """Make a connector, of which there may be as many connections as are asked for.

        Args:
            own: Arguments of the connector that are the library's to decide.
        """
        arguments = {"limit": 0, **self.options, **own}
        if self.trusted is not None:
            arguments["ssl"] = self.trusted
        if own.get("force_close"):
            arguments.pop("keepalive_timeout", None)
        return _Connector(**arguments)

    @property
    def resolver(self) -> AbstractResolver | None:
        """The caller's own resolver, which is never closed."""
        return cast("AbstractResolver | None", self.options.get("resolver"))


def read_network(
    *,
    proxy: object,
    ssl: object,
    connector_options: object,
    client_session: aiohttp.ClientSession | None,
) -> Network:
    """Check how a session's connections are to be made.

    Args:
        proxy: The masked URL of a proxy; None for those of the environment, False for none.
        ssl: An `ssl.SSLContext`, or the path of a file with CA certificates.
        connector_options: Arguments of `aiohttp.TCPConnector`.
        client_session: The caller's own, which makes its connections by itself.

    Raises:
        InvalidRequest: One breaks its rule, or is given beside a client session.
    """
    if client_session is not None:
        given = {"proxy": proxy, "ssl": ssl, "connector_options": connector_options}
        for name, value in given.items():
            if value is not None:
                rule = "must not be given beside client_session, whose connector decides it"
                raise InvalidRequest(name, "(hidden)" if name == "proxy" else value, rule)
        return Network(Proxies())
    return Network(read_proxies(proxy), _read_tls(ssl), _read_options(connector_options))


def _read_tls(given: object) -> SSLContext | None:
    if given is None:
        return None
    if isinstance(given, SSLContext):
        if given.verify_mode is not CERT_REQUIRED or not given.check_hostname:
            rule = "must verify certificates and host names: whoever answers gets the key"
            raise InvalidRequest("ssl", given, rule)
        return given
    if not isinstance(given, str | os.PathLike):
        raise InvalidRequest("ssl", given, _TLS_RULE)
    context = create_default_context()  # the system's CAs stay: media hosts have theirs
    try:
        context.load_verify_locations(os.fspath(given))
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise InvalidRequest("ssl", str(given), f"{_TLS_RULE} ({error})") from error
    return context


def _read_options(given: object) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidRequest("connector_options", given, "must be a mapping")
    options = dict(cast("Mapping[object, object]", given))
    for name, value in options.items():
        if not isinstance(name, str) or name not in OPTIONS:
            rule = f"must hold nothing but {', '.join(OPTIONS)}"
            raise InvalidRequest("connector_options", name, rule)
        rule, fits = OPTIONS[name]
        if not fits(value):
            raise InvalidRequest(f"connector_options[{name!r}]", value, rule)
    return cast("dict[str, Any]", options)
