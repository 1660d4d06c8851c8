"""The text of a page, without a browser."""

import hashlib
import json
import re
from base64 import b64decode, b64encode
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_async.cli.page import RowStatus, RowView, Run, StemView, TrackView, render
from suno_async.cli.page.links import file_address, is_web

from .runs import MADE_AT, mixed_run


class Parts(HTMLParser):
    """The elements of a page, and the text of its scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[str] = []
        self._within = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        self._within = tag in {"script", "style"}
        if self._within:
            self.raw.append("")

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._within = False

    def handle_data(self, data: str) -> None:
        """Note the text of a script or style."""
        if self._within:
            self.raw[-1] += data


def parse(page: str) -> Parts:
    """Read a page as a browser would."""
    parts = Parts()
    parts.feed(page)
    parts.close()
    return parts


def data_of(page: str) -> Any:
    """Read the data out of a page."""
    return json.loads(parse(page).raw[1])


def run_of(*rows: RowView, title: str = "Title") -> Run:
    """Make a run of some rows."""
    return Run(title, rows, MADE_AT)


def test_the_page_refers_to_nothing_elsewhere(tmp_path: Path) -> None:
    """Style, script and data are in it; its policy allows these, files beside it, and no more."""
    page = render(mixed_run(tmp_path))
    parts = parse(page)
    addresses = [
        attributes[name]
        for _, attributes in parts.elements
        for name in ("src", "href", "action", "data", "srcset", "poster")
        if attributes.get(name)
    ]
    assert addresses == ["data:,", "#rows"]
    style, data, script = parts.raw
    policy = next(
        attributes["content"] or ""
        for tag, attributes in parts.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'{digest(script)}'",
        "style-src": f"'{digest(style)}'",
        "img-src": "'self' file: data:",
        "media-src": "'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert json.loads(data)
    assert not re.search(r"<!--|<script|</", script + style)
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\b", script)


def digest(text: str) -> str:
    """Name a text as a Content-Security-Policy does."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def test_rendering_is_a_function_of_the_run(tmp_path: Path) -> None:
    """The same run is the same page."""
    run = mixed_run(tmp_path)
    assert render(run) == render(run)


@given(st.text(st.characters(), max_size=60))
def test_any_text_comes_back_and_adds_no_element(text: str) -> None:
    """Whatever a field holds, the page has the same elements, and its data has the text."""
    plain = parse(render(run_of(RowView(1, "t", RowStatus.FAILED)))).elements
    page = render(run_of(RowView(1, text, RowStatus.FAILED, reason=text, extra=((text, text),))))
    assert parse(page).elements == plain
    row = data_of(page)["rows"][0]
    assert (row["title"], row["reason"], row["extra"]) == (text, text, [[text, text]])
    page.encode()


@pytest.mark.parametrize(
    "text",
    ["</script><script>", "<!--", "&amp;", "\u2028\u2029", "]]>", "</SCRIPT >", "\ud800", "\0"],
)
def test_a_heading_is_text(text: str) -> None:
    """Also the run's own title comes from somebody."""
    page = render(run_of(title=text))
    assert len(parse(page).raw) == 3
    heading = re.search(r"<h1><bdi>(.*?)</bdi></h1>", page, re.DOTALL)
    assert heading is not None
    assert unescape(heading[1]) == text.replace("\ud800", "?").replace("\0", "\0")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("01 Title - A.mp3", "./01%20Title%20-%20A.mp3"),
        ("covers/a.png", "./covers/a.png"),
        ("a#b?c%d&e.wav", "./a%23b%3Fc%25d%26e.wav"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("C:\\x", "./C%3A%5Cx"),
        ("\u202eé", "./%E2%80%AE%C3%A9"),
        ("not-utf8-\udcff", "./not-utf8-%FF"),
        ("\ud800", "./%3F"),
        ("./a//b", "./a/b"),
        ("...", "./..."),
        ("%2e%2e/x", "./%252e%252e/x"),
        ("../x", None),
        ("a/../../x", None),
        ("/etc/passwd", None),
        ("//host/x", None),
        ("", None),
        (".", None),
    ],
)
def test_a_path_becomes_the_address_of_that_file(path: str, address: str | None) -> None:
    """Everything that means something in a URL is encoded; what leaves the folder has none."""
    assert file_address(path) == address


def test_only_a_stem_may_lie_outside_the_folder() -> None:
    """A manifest's stems are where the person has them; tracks are not."""
    row = RowView(
        1,
        "t",
        RowStatus.COMPLETE,
        stem=StemView("../stems/a b.wav"),
        tracks=(TrackView("A", "../a.wav", cover="/c.png"),),
    )
    shown = data_of(render(run_of(row)))["rows"][0]
    assert shown["stem"]["address"] == "./../stems/a%20b.wav"
    assert shown["tracks"][0]["address"] is None
    assert shown["tracks"][0]["cover"] is None


@pytest.mark.parametrize(
    ("source", "web"),
    [
        ("https://stems.example/a.wav", True),
        ("HTTP://stems.example", True),
        ("http://", False),
        ("javascript://x/%0aalert(1)", False),
        ("data:audio/wav,x", False),
        ("file:///etc/passwd", False),
        ("https://a b", False),
        ("ht\ntps://a", False),
        ("https://[", False),
        ("stems/a.wav", False),
    ],
)
def test_only_http_is_a_link(source: str, *, web: bool) -> None:
    """Anything else counts as a file's name."""
    assert is_web(source) == web


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, None])
def test_a_length_that_is_none_is_not_shown(value: float | None) -> None:
    """The browser finds out by itself."""
    row = RowView(1, "t", RowStatus.COMPLETE, tracks=(TrackView("A", "a", duration_s=value),))
    assert data_of(render(run_of(row)))["rows"][0]["tracks"][0]["duration"] is None


def test_peaks_are_kept_within_their_range() -> None:
    """A wrong number is drawn as the nearest right one."""
    track = TrackView("A", "a", waveform=(-5, 0, 255, 9_000))
    shown = data_of(render(run_of(RowView(1, "t", RowStatus.COMPLETE, tracks=(track,)))))
    assert list(b64decode(shown["rows"][0]["tracks"][0]["peaks"])) == [0, 0, 255, 255]


@pytest.mark.parametrize(
    ("statuses", "going_on", "news"),
    [
        ((RowStatus.COMPLETE, RowStatus.RUNNING), True, True),
        ((RowStatus.COMPLETE, RowStatus.WAITING), False, False),
        ((RowStatus.COMPLETE, RowStatus.FAILED, RowStatus.UNCERTAIN), True, False),
        ((), True, False),
    ],
)
def test_news_come_while_rows_are_open_and_somebody_works(
    statuses: tuple[RowStatus, ...], *, going_on: bool, news: bool
) -> None:
    """Only then does the page look for them."""
    rows = tuple(RowView(at, "t", status) for at, status in enumerate(statuses, 1))
    run = Run("t", rows, MADE_AT, going_on=going_on)
    assert data_of(render(run))["news"] == news
