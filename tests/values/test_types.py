"""Types in the hands of users: a program of theirs is clean under the strictest checks."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import suno_async

HERE = Path(__file__).parent
ROOT = Path(suno_async.__file__).parent.parent


async def test_a_users_program_is_clean_under_pyright_strict(tmp_path: Path) -> None:
    """The library is found as any installed one: its marker is there, nothing in it is unknown."""
    shutil.copy(HERE / "users_program.py", tmp_path / "program.py")
    installed = tmp_path / "site"
    installed.mkdir()
    (installed / "suno_async").symlink_to(ROOT / "suno_async")
    settings = {
        "include": ["program.py"],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "extraPaths": [str(installed)],
        # what the library must not make its users write
        "reportUnnecessaryTypeIgnoreComment": "error",
        "reportMissingTypeStubs": "error",
        "reportPrivateUsage": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    checking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        written, _ = await checking.communicate()
    report = json.loads(written)
    assert report["summary"]["filesAnalyzed"] == 1
    assert report["generalDiagnostics"] == []
