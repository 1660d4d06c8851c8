"""Wrong versions of what moves audio: half files, other tracks' files, other places' files."""

from benchmarks.wrong_versions.mutation import Mutation

_TRANSFER = "suno_async/media/transfer.py"
_PARTFILE = "suno_async/media/partfile.py"
_DOWNLOADS = "suno_async/media/downloads.py"
_ADDRESSES = "suno_async/media/addresses.py"
_NAMES = "suno_async/media/names.py"
_RESUMING = "tests/media/test_resuming.py"
_TEST_DISK = "tests/media/test_disk.py"
_TEST_DOWNLOADS = "tests/media/test_downloads.py"

WRONG = (
    Mutation(
        "If-Range is left out",
        _TRANSFER,
        '            headers |= {"Range": f"bytes={resume.offset}-",'
        ' "If-Range": resume.validator}\n',
        '            headers |= {"Range": f"bytes={resume.offset}-"}\n',
        "two versions of a file are put together",
        (_RESUMING,),
    ),
    Mutation(
        "another version of a file is appended",
        _TRANSFER,
        "read_head(answer.head, resume.offset, resume.validator, self.clock.now())",
        "read_head(answer.head, resume.offset, answer.head.validator, self.clock.now())",
        "two versions of a file are put together",
        (_RESUMING,),
    ),
    Mutation(
        "a download has its final name before it is whole",
        _DOWNLOADS,
        "        head = await transfer.fetch(wanted.urls, wanted.young_until_s)\n"
        "        path = await lane.run(part.name, names.files(head))\n",
        '        path = await lane.run(part.name, names.files(b""))\n'
        "        await transfer.fetch(wanted.urls, wanted.young_until_s)\n",
        "half a file is taken for the whole",
        (_TEST_DOWNLOADS,),
    ),
    Mutation(
        "a file is not brought to the disk",
        _PARTFILE,
        "        os.fsync(self._descriptor)\n",
        "",
        "after a power cut a file is empty under its final name",
        (_TEST_DISK,),
    ),
    Mutation(
        "a file's name is not brought to the disk",
        _PARTFILE,
        "                _sync_folder(self._folder)\n",
        "",
        "after a power cut a file that was reported is gone",
        (_TEST_DISK,),
    ),
    Mutation(
        "a part from another place is resumed",
        _PARTFILE,
        "        return ResumePoint(self.size, validator) if source == _source(url)"
        " else ResumePoint()\n",
        "        return ResumePoint(self.size, validator)\n",
        "two files are put together",
        ("tests/media/test_arrival.py", _RESUMING),
    ),
    Mutation(
        "a part of another track is resumed",
        _NAMES,
        '    parts = (kind.word, *whose, "" if name is None else f"name {name}")\n',
        '    parts = (kind.word, track.title or "", "" if name is None else f"name {name}")\n',
        "two tracks of one title are one file",
        ("tests/media/test_names.py", _TEST_DOWNLOADS),
    ),
    Mutation(
        "tracks without an id are told apart by nothing",
        _NAMES,
        '("id", track.id) if track.id else ("url", url)\n',
        '("id", track.id) if track.id else ("url", url.partition("?")[0])\n',
        "two tracks are one file",
        ("tests/media/test_names.py",),
    ),
    Mutation(
        "a file that is there is overwritten",
        _PARTFILE,
        "            os.link(path, target, follow_symlinks=False)\n",
        "            os.replace(path, target)\n            return True\n",
        "a caller's own file is gone",
        (_TEST_DISK, "tests/media/test_names.py"),
    ),
    Mutation(
        "a planted link is followed",
        "suno_async/media/marks.py",
        '    return nonblocking | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)\n',
        '    return nonblocking | getattr(os, "O_BINARY", 0)\n',
        "somebody else's file is overwritten through a link in a shared folder",
        (_TEST_DISK,),
    ),
    Mutation(
        "two processes write into one part file",
        _PARTFILE,
        "        except BlockingIOError:\n            return _CLOSED\n",
        "        except BlockingIOError:\n            return descriptor\n",
        "a file is mixed from two downloads",
        (_TEST_DOWNLOADS, _TEST_DISK),
    ),
    Mutation(
        "a full disk leaves a hole",
        _PARTFILE,
        "            rest = rest[written:]\n",
        "            rest = rest[len(rest) :]\n",
        "after a full disk the file is not what came",
        (_TEST_DOWNLOADS, _TEST_DISK),
    ),
    Mutation(
        "addresses that are not public are allowed",
        _ADDRESSES,
        "        return kind == PUBLIC or kind in await self._own_kinds()\n",
        "        return True\n",
        "what the service answers reaches what only this machine can reach",
        ("tests/media/test_addresses.py",),
    ),
    Mutation(
        "a name that leads to an address that is not public is allowed",
        _ADDRESSES,
        "        if found and not allowed:\n"
        "            raise refused(host, f\"is at {found[0]['host']},"
        ' which is not a public address")\n'
        "        return allowed\n",
        "        return found\n",
        "what the service answers reaches what only this machine can reach",
        ("tests/media/test_addresses.py",),
    ),
    Mutation(
        "a redirect may lead to an address that is not public",
        "suno_async/media/client.py",
        "        await self._addresses.check_host(host)\n",
        "",
        "what the service answers reaches what only this machine can reach",
        ("tests/media/test_addresses.py",),
    ),
    Mutation(
        "https may be left",
        "suno_async/media/client.py",
        '    if scheme.lower() == "https" and url[:5].lower() == "http:":\n',
        '    if scheme.lower() == "never" and url[:5].lower() == "http:":\n',
        "whoever is in between chooses the file",
        ("tests/media/test_client.py",),
    ),
    Mutation(
        "names may leave the folder",
        _NAMES,
        'unicodedata.normalize("NFC", _UNSEEN.sub("", _UNSAFE.sub("_", text)))',
        'unicodedata.normalize("NFC", _UNSEEN.sub("", text))',
        "the service chooses which file is written",
        ("tests/media/test_names.py", _TEST_DOWNLOADS),
    ),
    Mutation(
        "a file may have any size",
        _TRANSFER,
        "        if size > self.bounds.max_bytes:\n",
        "        if size > 1000 * self.bounds.max_bytes:\n",
        "an endless body fills the disk",
        ("tests/media/test_bounds.py",),
    ),
    Mutation(
        "a host may be asked for ever",
        _TRANSFER,
        "                if given_up or self._was_empty or not passes(error):\n",
        "                if self._was_empty or not passes(error):\n",
        "a dead host holds a download for days",
        ("tests/media/test_resuming.py", "tests/media/test_bounds.py"),
    ),
    Mutation(
        "a page is taken for audio",
        _TRANSFER,
        "        if not self.kind.accepts(await body.head(), answered.content_type):\n",
        "        if not self.kind.accepts(await body.head(), 'audio/mpeg'):\n",
        "a gateway's page is saved as a track",
        ("tests/media/test_formats.py", _TEST_DOWNLOADS),
    ),
    Mutation(
        "uploads share a name",
        "suno_async/media/uploads.py",
        '        name = f"{uuid4().hex}',
        '        name = f"{uuid4().hex[:0]}stem',
        "one song is accompanied to another's stem",
        ("tests/media/test_uploads.py",),
    ),
)
