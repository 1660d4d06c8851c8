"""`suno-async demo`: the whole main job without a key."""

import wave
from pathlib import Path

from .command import Command


def frames(path: Path) -> int:
    """Count the frames of a WAV file."""
    with wave.open(str(path)) as file:
        return int(file.getnframes())


async def test_the_demo_leaves_two_playable_files_per_song(command: Command) -> None:
    """Every song ends complete, with two different files as long as the stem."""
    ended = await command.run("demo", "--count", "4", "--out", "songs", key="")
    files = list((command.folder / "songs").glob("*.wav"))
    assert ended.status == 0
    assert len(files) == len({path.read_bytes() for path in files}) == 8
    assert {frames(path) for path in files} == {6 * 22_050}
    assert ended.err == ""
    titles = ("Morning Piano", "Night Drive", "Kitchen Radio", "Paper Boats")
    for number, title in enumerate(titles, 1):
        named = [path.name for path in files if path.name.startswith(f"0{number} {title} - ")]
        assert len(named) == 2
        assert all(name in ended.out for name in named)
    assert "8 files in songs: 4 saved" in ended.out
    assert ended.out.endswith("\nThe page: songs/index.html\n")


async def test_the_demo_takes_a_stem_and_never_mixes_runs(command: Command) -> None:
    """Another demo in the same folder has the same titles, and yet rows and files of its own."""
    words = ("demo", "--count", "1", "--stem")
    for name in ("short.wav", "long.wav"):
        assert (await command.run(*words, name, key="")).status == 0
    files = sorted((command.folder / "accompaniments").glob("*.wav"))
    assert [path.name for path in files] == [
        f"0{number} Morning Piano - {letter}.wav" for number in (1, 2) for letter in "AB"
    ]
    assert [frames(path) for path in files] == [11_025, 11_025, 132_300, 132_300]


async def test_the_demo_is_followed_by_songs_of_the_real_service(command: Command) -> None:
    """What a demo has left in the default folder is in nobody's way."""
    assert (await command.run("demo", "--count", "1", key="")).status == 0
    song = ("--title", "Mine", "--tags", "piano", "--negative-tags", "")
    ended = await command.run("generate", *command.service, "--stem", "short.wav", *song)
    assert (ended.status, ended.err) == (0, "")
    assert len(command.sandbox.ledger) == 1
    assert (command.folder / "accompaniments" / "02 Mine - A.wav").is_file()


async def test_a_stem_that_is_no_audio_is_one_sentence(command: Command) -> None:
    """It is refused by how it begins, before anything is sent."""
    (command.folder / "notes.wav").write_text("la la la")
    ended = await command.run("demo", "--count", "2", "--stem", "notes.wav", key="")
    assert ended.status == 1
    assert ended.err.startswith("suno-async: stem must be audio, by how the file begins, not ")
    assert ended.err.count("\n") == 1
