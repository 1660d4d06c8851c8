"""A host that gets the key: its URLs, and the headers and the way of calls to it."""

from typing import Any

from multidict import CIMultiDict
from yarl import URL

from suno_async.key import Masked
from suno_async.network import Network


class Host:
    """One that gets the key: its URLs, and the headers and the way of calls to it.

    Args:
        base_url: Scheme, host and path prefix, without a slash at the end.
        network: How connections are made.

    Attributes:
        url: The same.
        prefix: Its path, without a slash at the end.
        way: What aiohttp is told of the proxy to it.
        is_direct: Whether it is reached without a proxy.
    """

    def __init__(self, base_url: str, network: Network) -> None:
        self.url: URL = URL(base_url, encoded=True)
        self.prefix: str = self.url.raw_path.rstrip("/")
        proxy = network.proxy_for(self.url)
        self.is_direct: bool = proxy is None
        self.way: dict[str, Any] = proxy.arguments(self.url) if proxy is not None else {}
        self._of_proxy = proxy.headers(self.url) if proxy is not None else {}

    def headers(self, key: Masked, **more: str) -> "CIMultiDict[str]":
        """Give a call's headers, in the form that aiohttp would otherwise make of them.

        Args:
            key: The key, sent as bearer token.
            more: Headers of this call alone.
        """
        return CIMultiDict(
            {
                "Authorization": Masked(f"Bearer {key!s}"),
                "Accept": "application/json",
                # an encoding that lies, or breaks, has hidden the answers of paid calls
                "Accept-Encoding": "identity",
                "Cache-Control": "no-cache",
                **self._of_proxy,
                **more,
            }
        )

    def url_of(self, path: str) -> URL:
        """Put a URL together: a new one for every task, it costs less than to take one apart."""
        plain, _, query = path.partition("?")
        return URL.build(
            scheme=self.url.scheme,
            authority=self.url.raw_authority,
            path=self.prefix + plain,
            query_string=query,
            encoded=True,
        )
