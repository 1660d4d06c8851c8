"""A file that is not whole yet: locked while it grows, named when it is whole.

`filelock` was looked at for the lock (4.3.1): it locks a file of its own beside the one that
matters, which is left over or must be removed in a race. Here the lock is on the part file itself,
so it is held exactly as long as some thread can still write there.
"""

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from suno_async.media.answers import fits_header
from suno_async.media.formats import HEAD_BYTES
from suno_async.media.marks import no_follow, read_small, set_mark, write_mark, write_new

# errors of file systems in which a file has one name only
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}
_CLOSED = -1


@frozen
class ResumePoint:
    """How far a part file has come, and what it is a part of.

    Attributes:
        offset: How many bytes are there; 0 to begin anew.
        validator: What named the file's content when they came.
    """

    offset: int = 0
    validator: str = ""


class PartFile:
    """The bytes of a download that have come so far, under a hidden name.

    All methods block, and are called one after the other. A small file next to it holds the
    host's validator, without which it cannot be resumed; a part that cannot be is removed when it
    is closed.

    Args:
        folder: Where it is.
        key: Which file it is a part of.

    Attributes:
        size: How many bytes are there.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key
        self._path = folder / f".{key}.part"
        self._tag = folder / f".{key}.tag"
        self._descriptor = _CLOSED
        self._lock = _CLOSED
        self._resumable = False
        self.size: int = 0

    def open(self) -> bool:
        """Take the file for this download alone; False while another process has it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | no_follow()
        try:
            descriptor = os.open(self._path, flags, 0o666)
        except OSError:
            if not (self._path.is_symlink() or self._path.is_socket()):
                raise
            self._path.unlink()
            return False
        self._descriptor = descriptor
        self._lock = _lock(descriptor, self._path)
        if self._lock == _CLOSED or not self._is_ours(descriptor):
            self._close()
            return False
        self.size = os.fstat(descriptor).st_size
        self._resumable = self.size > 0
        return True

    def _is_ours(self, descriptor: int) -> bool:
        """Tell whether the locked file still has its name, and only that one."""
        found = os.fstat(descriptor)
        try:
            if not os.path.samestat(found, self._path.lstat()):
                return False
        except FileNotFoundError:
            return False
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            return True
        # somebody's file under a second name, a pipe, a device: nothing to write into
        self._path.unlink()
        return False

    def resume_point(self, url: str) -> ResumePoint:
        """Tell from where on the file is still to be fetched from a URL."""
        try:
            told = json.loads(read_small(self._tag))
            validator, source = told["validator"], told["source"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return ResumePoint()
        # it becomes a header, so it must be what a header can hold
        if not isinstance(validator, str) or not validator or not fits_header(validator):
            return ResumePoint()
        return ResumePoint(self.size, validator) if source == _source(url) else ResumePoint()

    def restart(self, url: str, validator: str) -> None:
        """Forget what is there; what comes now is from this URL and belongs to `validator`."""
        self._resumable = False
        self._tag.unlink(missing_ok=True)
        os.ftruncate(self._descriptor, 0)
        self.size = 0
        if validator:
            told = json.dumps({"validator": validator, "source": _source(url)})
            write_new(self._tag, told.encode())
            self._resumable = True

    def write(self, chunk: bytes) -> None:
        """Append what has come; a nearly full disk takes less than it is given, and then fails."""
        rest = memoryview(chunk)
        while rest:
            written = os.write(self._descriptor, rest)
            self.size += written
            rest = rest[written:]

    def sync(self) -> bytes:
        """Bring the whole file to the disk; return how it begins."""
        os.fsync(self._descriptor)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, HEAD_BYTES)

    def name(self, names: Sequence[str]) -> Path:
        """Give the file the first of these names that nothing has, and mark it as what it is.

        Raises:
            FileExistsError: All of them are taken.
        """
        self._tag.unlink(missing_ok=True)
        self._resumable = False
        marked = set_mark(self._descriptor, self._key)
        if sys.platform == "win32":  # which renames no open file
            os.close(self._descriptor)
            self._descriptor = _CLOSED
        for name in names:
            target = self._folder / name
            if _rename_to_new(self._path, target):
                if not marked:
                    self._mark_beside(target)
                _sync_folder(self._folder)
                return target
        taken = str(self._folder / names[-1])
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), taken)

    def _mark_beside(self, target: Path) -> None:
        """Mark a file that cannot bear its mark; without one it would be fetched again."""
        try:
            write_mark(target, self._key)
        except OSError:
            target.rename(self._path)
            raise

    def discard(self) -> None:
        """Keep nothing for another download."""
        self._resumable = False

    def close(self) -> None:
        """Leave the file for the next download, or remove it if that could not resume it."""
        try:
            if self._descriptor != _CLOSED and not self._is_worth_keeping():
                self._tag.unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)
        finally:
            self._close()

    def _is_worth_keeping(self) -> bool:
        if self._resumable and self.size:
            return True
        try:  # what has its name now may be another download's
            return not os.path.samestat(os.fstat(self._descriptor), self._path.lstat())
        except FileNotFoundError:
            return True

    def _close(self) -> None:
        opened = {self._descriptor, self._lock} - {_CLOSED}
        self._descriptor = self._lock = _CLOSED
        for descriptor in opened:
            os.close(descriptor)


def _source(url: str) -> str:
    """Name where a file comes from; a signature may be new at the next look."""
    return hashlib.sha256(url.partition("?")[0].encode(errors="surrogatepass")).hexdigest()[:16]


def _rename_to_new(path: Path, target: Path) -> bool:
    """Rename a file unless the other name exists."""
    if sys.platform != "win32":
        try:
            os.link(path, target, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            path.unlink()
            return True
        if os.path.lexists(target):
            return False
    with suppress(FileExistsError):  # on Windows
        path.rename(target)
        return True
    return False


if sys.platform == "win32":

    def _lock(descriptor: int, path: Path) -> int:
        """Make a file that goes with the process, since an open file cannot be renamed."""
        try:
            return os.open(f"{path}.lock", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_TEMPORARY)
        except FileExistsError:
            return _CLOSED

    def _sync_folder(folder: Path) -> None:
        """Windows syncs no folders."""

else:
    import fcntl

    def _lock(descriptor: int, path: Path) -> int:
        """Lock a file until what is returned is closed; -1 when somebody else has it locked."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _CLOSED
        except OSError:  # not every file system has locks
            return descriptor
        return descriptor

    def _sync_folder(folder: Path) -> None:
        """Have the new name survive a power cut."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
