"""Names of tracks are readable, harmless on every system, and tell rows and tracks apart."""

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from suno_async import Track
from suno_async.cli.board import Entry
from suno_async.cli.failures import Complaint
from suno_async.cli.file_names import DEFAULT, Template
from suno_async.cli.songs import make_song
from suno_async.media.formats import AUDIO
from suno_async.media.names import names_of, safe_text
from tests.media.hosts import BODY, everything_in, media_for, media_host, track_at

ASKED = {
    "tags": "slow piano",
    "negative_tags": "",
    "upload_url": "https://stems.example/voice.wav",
    "model": "V5",
}
EXTRA = {"Album": "Night/Day", "e-mail": "a@b.example"}


def entry(title: str = "Harbour", number: int = 7, **more: Any) -> Entry:
    """Make a row."""
    song = make_song({**ASKED, "title": "asked"}, Path())
    return Entry(title, number=number, song=song, **more)


def files(name: str) -> set[str]:
    """List what a download may call the file of this name."""
    names = names_of(Track(id="a" * 64), "https://cdn.example/a", name, None)
    return {f"{stem}{ending}" for stem in names.stems for ending in AUDIO.endings}


def same(name: str) -> str:
    """Fold what file systems of macOS and Windows take for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (DEFAULT, "07 Harbour - A"),
        ("{letter}{number:03} {title}", "A007 Harbour"),
        ("{title} ({tags}, {model}) {line}.{letter}", "Harbour (slow piano, V5) 12.A"),
        ("{column:album}, track{number} {title} {letter}", "Night_Day, track7 Harbour A"),
        ("{task_id}-{letter}", "5c79be8e-A"),
        ("{{{number}}} {title} {letter}", "{7} Harbour A"),
        ("{number} {column:none} {title} {letter}", "7 Harbour A"),
    ],
)
def test_a_template_says_what_is_in_a_name(template: str, name: str) -> None:
    """Fields and columns are put in, numbers with their width; what is empty leaves no gap."""
    row = entry(line=12, task_id="5c79be8e", extra=EXTRA)
    assert Template(template).name(row, "A") == name


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Song.mp3", "07 Song.mp3 - A"),
        ("v1.5", "07 v1.5 - A"),
        ("AC/DC: live?", "07 AC_DC_ live_ - A"),
        ("...And\nJustice", "07 ...And Justice - A"),
        ("CON", "07 CON - A"),
        ("../../etc/passwd", "07 .._.._etc_passwd - A"),
        ("\u202egnp.exe", "07 gnp.exe - A"),
        ("מנגינה", "07 מנגינה - A"),
        ("\ud800", "07 _ - A"),
        ("\u200b", "07 track - A"),
        ("\u0301\u0301", "07 track - A"),
    ],
)
def test_a_strangers_title_stays_readable(title: str, name: str) -> None:
    """What no file name can have is replaced; the rest stays."""
    assert Template().name(entry(title), "A") == name
    assert f"{name}.wav" in files(name)


@pytest.mark.parametrize(
    ("title", "name"), [("Song.MP3", "A 7 Song_MP3"), ("v1.5", "A 7 v1.5"), ("x.", "A 7 x")]
)
def test_a_title_at_the_end_brings_no_ending(title: str, name: str) -> None:
    """A title that ends like audio is not taken for the file's format, which may be another."""
    assert Template("{letter} {number} {title}").name(entry(title), "A") == name
    assert f"{name}.wav" in files(name)


def test_numbers_are_as_wide_as_the_largest() -> None:
    """Names sort by number, in a run of a thousand rows as well."""
    names = [Template().name(entry(number=n), "A", largest=1000) for n in (1, 20, 300, 1000)]
    assert names[0] == "0001 Harbour - A"
    assert names == sorted(names)
    assert Template("{number} {letter}").name(entry(number=3), "A", largest=1000) == "3 A"


def test_long_texts_share_the_room() -> None:
    """The longest are cut first, between characters; number and letter stay."""
    template = Template("{number:02} {title} ({tags}) - {letter}")
    name = template.name(entry("y" * 5000), "B")
    assert name == f"07 {'y' * 100} (slow piano) - B"
    flags = "e\u0301" + "👩\u200d👩\u200d👧🏽" * 20
    cut = Template().name(entry(flags), "A").removeprefix("07 ").removesuffix(" - A")
    assert cut == unicodedata.normalize("NFC", flags)[: len(cut)]
    assert cut.endswith("👩\u200d👩\u200d👧🏽")


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("", r"must have {letter}: a row gives two tracks"),
        ("{number} {title}", r"must have {letter}"),
        ("{title} {letter}", r"must have {number}, {line} or {task_id}"),
        ("{model}/{number} {letter}", r"must not name a folder"),
        ("..\\{number} {letter}", r"must not name a folder"),
        ("{number}: {letter}", r"has ': ', which not every system takes"),
        ("{number}\n{letter}", r"which not every system takes"),
        ("{number}\ud800{letter}", r"which not every system takes"),
        ("{number} {letter} {artist}", r"has no field {artist}: there are {number}, {title}, "),
        ("{number} {letter} {}", r"has no field {}"),
        ("{number} {letter} {0}", r"has no field {0}"),
        ("{number} {letter} {title.__class__}", r"has no field {title.__class__}"),
        ("{number} {letter} {title[0]}", r"has no field {title\[0\]}"),
        ("{number} {letter} {title!r}", r"has no field {title!r}"),
        ("{number} {letter} {title:10}", r"may give only numbers a width"),
        ("{number:{line}} {letter}", r"may give only numbers a width"),
        ("{number:2} {letter}", r"may give only numbers a width"),
        ("{number:099999999} {letter}", r"may give only numbers a width"),
        ("{number} {letter} {column}", r"must say which column"),
        ("{number} {letter} {column:{title}}", r"must say which column"),
        ("{number {letter}", r"is no template .*a brace is written twice"),
        ("{number} } {letter}", r"is no template"),
        (
            "{number}{title} {letter}",
            r"must keep fields apart, such as by a space: '{number}{title}'",
        ),
        ("{letter} {title}{number:02}", r"must keep fields apart, .*: ' {title}{number:02}'"),
        ("{number}0 {letter}", r"must keep fields apart"),
        ("{letter} 1{number}", r"must keep fields apart"),
        ("1{number} {letter}", r"must keep fields apart, .*: '1{number}'"),
        ("{task_id}{letter}", r"must keep fields apart"),
        ("{task_id}x {letter}", r"must keep fields apart"),
        ("{number} {letter}.mp3", r"must not have an ending"),
        ("{number} {title} {letter}" + "x" * 80, r"is too long"),
        ("{number} {title} {letter}" + "é" * 80, r"is too long"),
        ("{number}{letter}" * 50, r"must have at most 500|is too long"),
    ],
)
def test_a_template_that_cannot_be_is_refused(template: str, rule: str) -> None:
    """The option, the text and the rule are named."""
    with pytest.raises(Complaint, match=rule) as caught:
        Template(template)
    assert str(caught.value).startswith("--name ")
    assert str(caught.value).isprintable()


def test_columns_are_those_of_the_manifest() -> None:
    """A column is found whatever its case; one that is not there is named."""
    Template("{number} {column:ALBUM} {letter}").check_columns(EXTRA)
    with pytest.raises(Complaint, match=r"names the column 'albun'"):
        Template("{number} {column:albun} {letter}").check_columns(EXTRA)


TEXTS = st.one_of(
    st.text(st.characters(codec=None), max_size=300),
    st.text(" .-~_0123456789AB\u0301\u200d\u202e🏽👩", max_size=200),
    st.builds(
        lambda text, times: text * times, st.text(min_size=1, max_size=5), st.integers(0, 5000)
    ),
    st.sampled_from(["CON", "con.mp3", "LPT1", "NUL.wav", "x. . .", "~", "=", "\ud800\udc00"]),
)
TEMPLATES = (
    DEFAULT,
    "{letter}{number} {title}",
    "{title} {tags}.{number}-{letter}",
    "{letter}.{number:03}.{column:c}",
    "{title}.{letter}.{number}",
)


@example("Song.mp3", "x", 1, 11)
@example("CON", "CON", 1, 2)
@example("1 1", "1", 1, 11)
@example("e\u0301" * 500, "\u0301" * 500, 1, 2)
@given(TEXTS, TEXTS, st.integers(1, 10**6), st.integers(1, 10**6))
def test_any_two_tracks_have_two_harmless_names(one: str, two: str, n: int, m: int) -> None:
    """A from B and row from row, case and forms of Unicode aside; and the same every time."""
    for text in TEMPLATES:
        template = Template(text)
        rows = [entry(one, n, extra={"c": two}), entry(two, m, extra={"c": one})]
        names = [template.name(row, letter, max(n, m)) for row in rows for letter in "AB"]
        assert names == [template.name(row, letter, max(n, m)) for row in rows for letter in "AB"]
        for name in names:
            _check_harmless(name)
        different = names if n != m else names[:2]
        called = [{same(file) for file in files(name)} for name in different]
        assert len(set().union(*called)) == sum(map(len, called))


def _check_harmless(name: str) -> None:
    assert safe_text(name) == name
    for file in files(name):
        assert len(file.encode()) <= 255
        assert file.startswith((name, f"_{name}"))
        assert not set(file) & set('/\\:*?"<>|\0\r\n\u202e')
        assert not file.startswith((".", "-", "~", " "))
        assert file.partition(".")[0].rstrip().upper() not in {"CON", "NUL", "LPT1"}


async def test_the_name_is_the_files(tmp_path: Path) -> None:
    """A download takes the name as it is, finds its file again, and asks for nothing twice."""
    asked: Counter[str] = Counter()

    async def serve(request: web.Request) -> web.StreamResponse:
        asked[request.path_qs] += 1
        return web.Response(body=BODY[:100] + request.path_qs.encode())

    rows = [entry("Song.mp3", 1), entry("song.MP3", 2), entry("é" * 500, 3)]
    wanted = [(Template().name(row, letter), row.number) for row in rows for letter in "AB"]
    async with media_host(serve) as url:
        for _ in range(2):
            async with media_for() as media:
                for name, number in wanted:
                    track = track_at(f"{url}?{name[-1]}{number}", id=f"idididid{name[-1]}{number}")
                    path = await media.download(track, tmp_path, name=name)
                    assert path.name == f"{name}.mp3"
    assert everything_in(tmp_path) == sorted(f"{name}.mp3" for name, _ in wanted)
    assert set(asked.values()) == {1}
    assert len(asked) == 6


async def test_text_that_imitates_a_number_takes_no_file(tmp_path: Path) -> None:
    """Two rows that come out under one name are two files: the second has its track's id."""

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(body=BODY[:100] + request.path_qs.encode())

    template = Template("{title} {number} {column:c} {letter}")
    rows = [entry("x", 1, extra={"c": "2 y"}), entry("x 1", 2, extra={"c": "y"})]
    async with media_host(serve) as url, media_for() as media:
        for row in rows:
            track = track_at(f"{url}?{row.number}", id=f"idididid{row.number}")
            await media.download(track, tmp_path, name=template.name(row, "A"))
    assert everything_in(tmp_path) == ["x 1 2 y A idididid2.mp3", "x 1 2 y A.mp3"]
