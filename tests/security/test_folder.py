"""A folder, a file or a database that somebody else has made: none runs code or gets the key."""

import base64
import json
import pickle
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from suno_async import InvalidRequest, SunoError, TaskDetails, from_json
from suno_async.cli.app import app
from suno_async.cli.board import Board, Entry, State
from suno_async.cli.failures import Complaint
from suno_async.cli.generate import resume
from suno_async.cli.manifest import read_manifest
from suno_async.cli.options import RunOptions
from suno_async.cli.run_db import RunDb, Settings
from suno_async.cli.run_rest import RunRest
from suno_async.cli.service import Service
from suno_async.durable import DurableSuno
from suno_async.sandbox import Sandbox
from tests.durable.using import eventually, working
from tests.world import song

# what has DBOS read a row as code
MARK = "UPDATE {schema}workflow_status SET serialization = 'py_pickle'"


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._path,)


def execute(url: str, *statements: tuple[str, dict[str, str]]) -> None:
    """Write to a database as whoever has got hold of it."""
    read = sa.make_url(url)
    schema = ""
    if read.get_backend_name() == "postgresql":
        read, schema = read.set(drivername="postgresql+psycopg"), "suno_async."
    engine = sa.create_engine(read)
    with engine.begin() as connection:
        for statement, values in statements:
            connection.execute(sa.text(statement.format(schema=schema)), values)
    engine.dispose()


async def test_a_database_runs_no_code(
    database: str, service: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that says that its content is a pickle is not read, by no worker; others are."""
    struck = tmp_path / "struck"
    code = base64.b64encode(pickle.dumps(Code(struck))).decode()
    pickle.loads(base64.b64decode(code))  # noqa: S301 - it is one
    assert struck.exists()
    struck.unlink()
    async with DurableSuno(database, worker=False) as durable:
        await durable.submit("a", song())
    execute(
        database,
        ("UPDATE {schema}workflow_input SET inputs = :code", {"code": code}),
        ("UPDATE {schema}workflow_status SET inputs = :code", {"code": code}),
        (MARK, {}),
    )

    async def is_refused() -> bool:
        return "py_pickle, which is refused" in caplog.text

    async with working(database, service) as durable:
        await eventually(is_refused)
        await (await durable.submit("b", song())).result(20)
    assert not struck.exists()


async def test_a_schema_runs_no_code(
    sqlite: str, service: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does a row that becomes a pickle only when a worker takes it."""
    struck = tmp_path / "struck"
    code = base64.b64encode(pickle.dumps(Code(struck))).decode()
    async with DurableSuno(sqlite, worker=False) as durable:
        await durable.submit("a", song())
    execute(
        sqlite,
        ("UPDATE workflow_input SET inputs = :code", {"code": code}),
        (f"CREATE TRIGGER now AFTER UPDATE OF status ON workflow_status BEGIN {MARK}; END", {}),
    )

    async def is_refused() -> bool:
        return "py_pickle, which is refused" in caplog.text

    async with working(sqlite, service):
        await eventually(is_refused)
    assert not struck.exists()


# --- a run's folder -------------------------------------------------------------------------------


@pytest.fixture
def lured(tmp_path: Path) -> Path:
    """A run's folder that names a service of its maker's."""
    folder = tmp_path / "lured"
    folder.mkdir()
    RunDb(folder).save(Settings(base_url="http://collects-keys.test"), ())
    return folder


def test_a_folder_does_not_say_who_gets_the_key(
    lured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`resume` wants the address of another machine to be named."""
    with pytest.raises(SystemExit) as ended:
        resume(lured, Service(), RunOptions())
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert f"{lured} would have your key sent to http://collects-keys.test" in said
    assert "give --base-url http://collects-keys.test\n" in said


def test_a_run_says_how_it_goes_on() -> None:
    """With the address, where a folder's word is not enough."""
    board = Board([Entry("One", number=1, state=State.UNCERTAIN)])
    assert "resume music --adopt 1=" in RunRest(Path("music"))(board)[1]
    elsewhere = RunRest(Path("music"), "https://h")(board)
    assert "resume music --base-url https://h --adopt 1=" in elsewhere[1]


def test_a_folder_does_not_say_which_files_are_its_own(tmp_path: Path) -> None:
    """A file of another folder is none that was saved: it would be tagged."""
    db = RunDb(tmp_path)
    db.save(Settings(), ())
    for letter, name in (("A", "01 One - A.mp3"), ("B", "../elsewhere.mp3"), ("C", "/etc/passwd")):
        db.note_saved("t", letter, name)
    db.note_saved("u", "A", "..")
    assert db.saved() == {("t", "A"): "01 One - A.mp3"}


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(500)])
def test_a_file_that_is_no_database_is_told(tmp_path: Path, content: bytes) -> None:
    """Or a broken one: in a sentence."""
    (tmp_path / "run.db").write_bytes(content)
    with pytest.raises(Complaint, match="cannot be used"):
        RunDb(tmp_path).rows()


def test_tables_of_others_are_no_code(tmp_path: Path) -> None:
    """Settings of any type are read as values, and unknown ones are left alone."""
    RunDb(tmp_path).save(Settings(), ())
    connection = sqlite3.connect(tmp_path / "run.db")
    values = {"__class__": "x", "title": ["x"], "os.system": "x"}
    with connection:
        for name, value in values.items():
            row = (name, json.dumps(value))
            connection.execute("INSERT OR REPLACE INTO cli_settings VALUES (?, ?)", row)
    connection.close()
    assert RunDb(tmp_path).settings() == Settings(title=["x"])  # type: ignore[arg-type]


SET = {
    "log": ('log = "log.txt"', ["credits"]),
    "no question": ("[generate]\nyes = true", ["generate"]),
    "no question below": ("confirm_above = 9999", ["resume"]),
    "paid again": ("[resume]\nretry_uncertain = true", ["resume"]),
    "another folder": ('out = "/var/www"', ["generate"]),
    "a folder above": ('[generate]\nout = "../elsewhere"', ["generate"]),
    "the address": ('base_url = "http://collects-keys.test"', ["credits"]),
}


@pytest.mark.parametrize("which", SET)
def test_a_configuration_that_came_along_decides_little(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what is paid unasked, not who gets the key, and no file outside of its folder."""
    text, words = SET[which]
    (tmp_path / "suno-async.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APIKLEY_API_KEY", "a-key")
    monkeypatch.delenv("APIKLEY_BASE_URL", raising=False)
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 2
    assert "may have come with this folder: if" in ended.output
    assert [path.name for path in tmp_path.iterdir()] == ["suno-async.toml"]


# --- JSON -----------------------------------------------------------------------------------------

NAMES = (
    "Exception",
    "SystemExit",
    "os.system",
    "builtins.eval",
    "__import__",
    "SunoError.__init__",
)


@pytest.mark.parametrize("name", NAMES)
def test_json_names_no_class_but_ours(name: str) -> None:
    """Of errors, and as an error's cause."""
    with pytest.raises(InvalidRequest):
        from_json(json.dumps({"error": name, "args": ["id"]}), SunoError)


@pytest.mark.parametrize("name", ["__class__", "__dict__", "__init__", "__reduce__", "args"])
def test_json_sets_no_attribute_but_ours(name: str) -> None:
    """What is no field of a class is refused or left out."""
    text = json.dumps({"error": "ApiError", "code": 1, "message": "m", name: "x"})
    with pytest.raises(InvalidRequest):
        from_json(text, SunoError)
    details = from_json(json.dumps({"task_id": "t", "status": "SUCCESS", name: "x"}), TaskDetails)
    assert details == TaskDetails(task_id="t", status=details.status)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
DOCTYPES = {
    "laughs": f'<!DOCTYPE x [<!ENTITY l0 "{"laughter" * 100}">{LAUGHS}]>',
    "a file": f'<!DOCTYPE x [<!ENTITY l9 SYSTEM "{Path(__file__).as_uri()}">]>',
}


@pytest.mark.parametrize("doctype", DOCTYPES.values(), ids=DOCTYPES)
def test_a_manifest_expands_no_entities(doctype: str, tmp_path: Path) -> None:
    """A workbook that grows to gigabytes by entities, or has a file of this machine in a cell."""
    openpyxl: Any = pytest.importorskip("openpyxl", reason="the extra `cli` brings it")
    plain, hostile = tmp_path / "plain.xlsx", tmp_path / "hostile.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["title"])
    book.save(plain)
    row = '<row r="2"><c r="A2" t="inlineStr"><is><t>&l9;</t></is></c></row></sheetData>'
    with zipfile.ZipFile(plain) as before, zipfile.ZipFile(hostile, "w") as after:
        for name in before.namelist():
            text = before.read(name).decode()
            if name.endswith("sheet1.xml"):
                text = text.replace("<worksheet", f"{doctype}<worksheet", 1)
                text = text.replace("</sheetData>", row)
                assert "&l9;" in text
            after.writestr(name, text)
    try:
        seen = str(read_manifest(hostile, {}))
    except Complaint as error:
        seen = str(error)
    assert "laughter" not in seen
    assert "somebody else has made" not in seen
