"""What the environment says of proxies and of the service's address."""

import pytest
from yarl import URL

from suno_async import InvalidRequest, SunoSession
from suno_async.proxy import Proxies, read_proxies
from suno_async.sandbox import Sandbox
from tests.test_key import frames_of
from tests.world import session_for, song

from .hosts import QUICK, proxy_server

VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "APIKLEY_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def _way(proxies: Proxies, url: str) -> str | None:
    proxy = proxies.proxy_for(URL(url))
    return None if proxy is None else str(proxy.url)


@pytest.mark.parametrize("small", [True, False])
def test_each_scheme_has_its_proxy(monkeypatch: pytest.MonkeyPatch, *, small: bool) -> None:
    """In capitals and in small letters, with a scheme or without one."""
    for name, value in {"HTTPS_PROXY": "http://a:1/", "HTTP_PROXY": "b:2"}.items():
        monkeypatch.setenv(name.lower() if small else name, value)
    proxies = read_proxies(None)
    assert _way(proxies, "https://x.test") == "http://a:1"
    assert _way(proxies, "http://x.test") == "http://b:2"


def test_small_letters_count_if_there_are_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they say that there is none."""
    monkeypatch.setenv("HTTPS_PROXY", "http://a:1")
    monkeypatch.setenv("https_proxy", "http://b:2")
    assert _way(read_proxies(None), "https://x.test") == "http://b:2"
    monkeypatch.setenv("https_proxy", "")
    assert _way(read_proxies(None), "https://x.test") is None


def test_a_header_of_a_cgi_script_is_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """CGI hands a request's header `Proxy` over as `HTTP_PROXY`."""
    monkeypatch.setenv("HTTP_PROXY", "http://evil:1")
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    assert _way(read_proxies(None), "http://x.test") is None


@pytest.mark.parametrize(
    ("listed", "url", "is_listed"),
    [
        ("*", "https://x.test", True),
        ("x.test", "https://x.test", True),
        ("x.test", "https://a.X.test./", True),
        (".x.test", "https://a.x.test", True),
        ("*.x.test", "https://a.x.test", True),
        ("x.test", "https://ax.test", False),
        ("x.test", "https://x.test.com", False),
        ("a.test, x.test", "https://x.test", True),
        ("a.test x.test", "https://x.test", True),
        ("x.test:443", "https://x.test", True),
        ("x.test:8443", "https://x.test", False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("10.1.2.3:8", "https://10.1.2.3", False),
        ("10", "https://10.1.2.3", False),
        ("2001:db8::/32", "https://[2001:db8::1]", True),
        ("[2001:db8::1]", "https://[2001:db8::1]", True),
        ("[2001:db8::1]:443", "https://[2001:db8::1]", True),
        ("[2001:db8::1]:1", "https://[2001:db8::1]", False),
        (".", "https://x.test", False),
        (",, ,", "https://x.test", False),
        ("::::", "https://x.test", False),
    ],
)
def test_no_proxy(
    listed: str, url: str, monkeypatch: pytest.MonkeyPatch, *, is_listed: bool
) -> None:
    """It lists names with their subdomains, addresses and networks, with a port or without."""
    monkeypatch.setenv("HTTPS_PROXY", "http://a:1")
    monkeypatch.setenv("NO_PROXY", listed)
    assert _way(read_proxies(None), url) == (None if is_listed else "http://a:1")


@pytest.mark.parametrize("host", ["localhost", "api.localhost", "127.0.0.1", "127.3.2.1", "[::1]"])
def test_this_machine_is_reached_without_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox works although there is one."""
    monkeypatch.setenv("HTTP_PROXY", "http://a:1")
    assert _way(read_proxies(None), f"http://{host}:8000") is None


def test_the_caller_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument counts for every host, and False leaves the environment out."""
    monkeypatch.setenv("HTTPS_PROXY", "http://a:1")
    monkeypatch.setenv("NO_PROXY", "*")
    assert _way(read_proxies("http://b:2"), "http://localhost") == "http://b:2"
    monkeypatch.delenv("NO_PROXY")
    assert _way(read_proxies(False), "https://x.test") is None


@pytest.mark.parametrize("value", ["socks5://a:Geheim@b:1", "http://a:Geheim@b/path", "://"])
def test_a_variable_that_names_no_proxy_is_named(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going around it would be worse; the value may hold a password, and is not shown."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(InvalidRequest, match="HTTPS_PROXY must be the URL of an http") as caught:
        SunoSession("a-key")
    assert "Geheim" not in frames_of(caught.value)
    SunoSession("a-key", proxy=False)


async def test_a_session_takes_them(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read when it is made; the service's name is one that only the proxy knows."""
    port = URL(sandbox.base_url).port
    async with proxy_server(names={"api.test": "127.0.0.1"}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with session_for(sandbox, base_url=f"http://api.test:{port}", **QUICK) as suno:
            monkeypatch.delenv("HTTP_PROXY")
            await suno.submit(song())
            assert await suno.credits() == sandbox.credits
    assert proxy.methods == ["POST", "GET"]


async def test_no_netrc_is_read(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An entry for the host, or for any, does not take the key's place, nor go to a proxy."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("default login someone password Geheim\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    port = URL(sandbox.base_url).port
    async with proxy_server(names={"api.test": "127.0.0.1"}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with session_for(sandbox, base_url=f"http://api.test:{port}", **QUICK) as suno:
            await suno.submit(song())
            await suno.credits()
    assert all(f"Authorization: Bearer {sandbox.api_key}" in head for head in proxy.heads)
    assert not any("Basic" in head for head in proxy.heads)


# --- the service's address ------------------------------------------------------------------------


async def test_the_service_may_be_named_by_the_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`APIKLEY_BASE_URL` is where the API is unless an argument says so."""
    monkeypatch.setenv("APIKLEY_BASE_URL", f"{sandbox.base_url}/")
    async with session_for(sandbox, base_url=None, **QUICK) as suno:
        assert await suno.credits() == sandbox.credits
    assert "example.com" in repr(SunoSession("a-key", base_url="https://example.com"))


@pytest.mark.parametrize("value", [None, ""])
def test_the_usual_address(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument and without a variable."""
    if value is not None:
        monkeypatch.setenv("APIKLEY_BASE_URL", value)
    assert "https://api.apikley.ru" in repr(SunoSession("a-key"))


def test_an_address_of_the_environment_that_breaks_the_rule_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its variable."""
    monkeypatch.setenv("APIKLEY_BASE_URL", "nowhere")
    with pytest.raises(InvalidRequest, match="APIKLEY_BASE_URL must be an http or https URL"):
        SunoSession("a-key")
