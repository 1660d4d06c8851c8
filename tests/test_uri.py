"""URLs become URIs: what is one stays byte for byte, the rest is encoded or refused."""

import re
import string
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async.errors import InvalidRequest
from suno_async.uri import uri_of

# RFC 3986, appendix A, for an http URI with an authority
URI = re.compile(
    r"(?i:https?)://"
    r"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=:]|%[0-9A-Fa-f]{2})*@)?"
    r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._]+)(?::[0-9]*)?"
    r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?"
    r"(?:\?(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*)?"
    r"(?:#(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*)?"
)


@pytest.mark.parametrize(
    "uri",
    [
        "http://h",
        "HTTPS://Host.Example./A/../b//c?a=b&c#d",
        "https://cdn.example/a%2Fb.mp3?sig=x%2Fy%3D%27z%7E",
        "https://cdn.example/a%2fb?sig='(x)'!*$,;:@+~",
        "https://user:pa%40ss@h:8/",
        "https://h:/",
        "http://[2001:db8::1]:8080/",
        "http://127.0.0.1/",
        "https://xn--e1afmkfd.xn--p1ai/",
        "https://my_bucket.s3-eu.example/",
        f"https://{'a' * 63}.example/",
        "https://h:65535/?",
    ],
)
def test_a_uri_stays_byte_for_byte(uri: str) -> None:
    """Signatures hold: nothing is normalised."""
    assert uri_of("upload_url", uri) == uri


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("https://пример.рф/", "https://xn--e1afmkfd.xn--p1ai/"),
        ("https://bücher.de:8/x", "https://xn--bcher-kva.de:8/x"),
        ("https://例え。テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("https://h/песня.wav", "https://h/%D0%BF%D0%B5%D1%81%D0%BD%D1%8F.wav"),
        ("https://h/?q=é#ü", "https://h/?q=%C3%A9#%C3%BC"),
        ('https://h/|{}^"<>`\\[]', "https://h/%7C%7B%7D%5E%22%3C%3E%60%5C%5B%5D"),
        ("https://h/100%", "https://h/100%25"),
        ("https://h/%zz%2%41%D0", "https://h/%25zz%252%41%D0"),
        ("https://h/a%2Fж", "https://h/a%2F%D0%B6"),
        ("https://h/#a#b", "https://h/#a%23b"),
        ("https://us|er:p<w@x@h/", "https://us%7Cer:p%3Cw%40x@h/"),
        (
            "https://h/\U0001f469\u200d\U0001f3a4.wav",
            "https://h/%F0%9F%91%A9%E2%80%8D%F0%9F%8E%A4.wav",
        ),
    ],
)
def test_what_is_none_is_made_one(url: str, uri: str) -> None:
    """Hosts become IDNA, other characters are percent-encoded, a lone `%` too."""
    assert uri_of("upload_url", url) == uri


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("http://cdn..example.com/a.mp3", "a label that is empty or over 63"),
        ("http://.example/", "a label that is empty"),
        ("http://./", "a label that is empty"),
        (f"http://{'a' * 64}.example/", "over 63"),
        (f"http://{'ж' * 60}.рф/", "no international name"),
        (f"http://{'.'.join(['abcdefg'] * 40)}/", "longer than 253"),
        ("http://h:0/", "port is not from 1 to 65535"),
        ("http://h:65536/", "port is not"),
        (f"http://h:{'9' * 5000}/", "port is not"),
        ("http://h:\uff18\uff10/", "port is not"),
        ("http://h:-1/", "port is not"),
        ("http://a%41/", "characters that no host has"),
        ("http://a|b/", "characters that no host has"),
        ("http://a\\b/", "characters that no host has"),
        ("http://h[::1]/", "characters that no host has|URL with a host"),
        ("http://[::g]/", "no IPv6 address|URL with a host"),
        ("http://[v1.x]/", "no IPv6 address|URL with a host"),
        ("http://[fe80::1%25eth0]/", "a zone|URL with a host"),
        ("http://℀.com/", "URL with a host"),
        ("http://\u202e.de/", "white space"),
        ("http://h/a b", "white space"),
        ("http://h/\u00a0", "white space"),
        ("http://h/\u0000", "white space"),
        ("http://h/\ud800", "white space"),
        ("http:/h", "URL with a host"),
        ("http:h", "URL with a host"),
        ("http://@/", "URL with a host"),
        ("mailto:a@h", "URL with a host"),
        (None, "URL with a host"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_cannot_be_made_one_is_refused(value: Any, rule: str) -> None:
    """The error names the argument, the value and what is wrong."""
    with pytest.raises(InvalidRequest, match=rule) as raised:
        uri_of("base_url", value)
    assert raised.value.field == "base_url"
    assert raised.value.value == value


PARTS = st.text(st.sampled_from("ab%2F4/?#[]@:.|{}^\"<>`\\ жé日-_~'"), max_size=12) | st.text()
URLS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "HTTPS", "ftp"]),
    st.sampled_from(["h", "пример.рф", "u:p@h:8", "[::1]", "a..b", ""]) | PARTS,
    st.sampled_from(["", "/", "?", "#"]),
    PARTS,
)


@given(URLS | st.text())
def test_what_is_made_is_a_uri_and_stays_one(url: str) -> None:
    """For any text: a URI by RFC 3986 that is not encoded twice, or `InvalidRequest`."""
    with suppress(InvalidRequest):
        uri = uri_of("upload_url", url)
        assert URI.fullmatch(uri)
        assert uri_of("upload_url", uri) == uri


@given(st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/?"))
def test_legal_characters_are_left_alone(behind: str) -> None:
    """Whatever a URI may hold stays as it was written."""
    assert uri_of("upload_url", f"https://h/{behind}") == f"https://h/{behind}"
