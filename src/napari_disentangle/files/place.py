"""How a file comes to its place: written beside it, locked, gone on with, then moved.

A file is made in a folder ``NAME.unfinished`` beside its target. The folder is locked
while somebody writes, keeps a record of the parts that are done, and stays if writing
ends halfway: the next run with the same result in mind goes on from there. Nothing that
was not made here is ever removed or replaced unless ``overwrite`` says so.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from errno import ENOENT, ENOTEMPTY
from itertools import count
from pathlib import Path
from typing import TextIO

from napari_disentangle.errors import DataError

# Files in an unfinished folder: who writes, what it is to become, and what is done.
_LOCK, _KEY, _DONE = "napari-disentangle.lock", "key", "done"
# An older result, while it is replaced.
_REPLACED = "replaced"
_RETRIES = 20
# Seconds between two tries to remove what is still written to.
_PAUSE = 0.05


@dataclass(frozen=True, eq=False)
class Work:
    """An unfinished result.

    Attributes
    ----------
    folder
        Where it is made.
    done
        Names of the parts that were done before.
    """

    folder: Path
    done: frozenset[str]
    _record: TextIO = field(repr=False)

    def add(self, part: str) -> None:
        """Note that a part is done, once it is on the disk."""
        self._record.write(f"{part}\n")
        self._record.flush()


@contextmanager
def working(target: Path, key: str, overwrite: bool) -> Iterator[Work]:
    """Make something in a folder beside its target, alone.

    Closed at the end with nothing left behind, as after ``GeneratorExit``, which
    cancels. Any other error leaves the folder, if a part is done.

    Parameters
    ----------
    target
        Where it is to come.
    key
        Tells results apart: parts of another one are not gone on with.
    overwrite
        Whether the target may exist.

    Raises
    ------
    DataError
        If somebody else writes it, or nothing can be written there.
    """
    check_free(target, overwrite)
    folder, lock = _locked(target)
    kept = False
    try:
        _put_back(folder, target)
        check_free(target, overwrite)
        done = _done(folder, key)
        with (folder / _DONE).open("a", encoding="utf-8") as noting:
            yield Work(folder, done, noting)
    except GeneratorExit:
        raise
    except BaseException:
        known, record = folder / _KEY, folder / _DONE
        kept = known.exists() and record.exists() and record.stat().st_size > 0
        raise
    finally:
        _release(folder, lock, kept)


def check_free(target: Path, overwrite: bool) -> None:
    """Refuse what could not be written in the end.

    Raises
    ------
    DataError
        If the target exists, or its folder does not.
    """
    if os.path.lexists(target) and not overwrite:
        raise DataError(f"{target.name!r} exists already: choose another name")
    if not target.absolute().parent.is_dir():
        raise DataError(f"there is no folder {str(target.parent)!r}: create it first")


def place(made: Path, target: Path, overwrite: bool) -> None:
    """Move what was made to its target, which is there whole or not at all.

    From then on nothing is to be gone on with: the key goes first, and comes back if
    the target is not there in the end.

    Raises
    ------
    DataError
        If something appeared there meanwhile, and may not be replaced.
    """
    key = made.with_name(_KEY)
    known = key.read_text(encoding="utf-8")
    try:
        key.unlink()
        move(made, target, overwrite)
    except BaseException as error:
        moved = not made.exists() or (target.exists() and made.samefile(target))
        if not moved:
            key.write_text(known, encoding="utf-8")
        if not isinstance(error, FileExistsError):
            raise
        raise DataError(
            f"{target.name!r} appeared while it was computed and is left alone: move "
            f"it away and run again, what was computed is kept in {made.parent.name!r}"
        ) from error


def move(made: Path, target: Path, overwrite: bool) -> None:
    """Move a file or a folder in one step.

    Raises
    ------
    FileExistsError
        If something is there, and may not be replaced.
    """
    if overwrite:
        _replace(made, target)
    elif made.is_dir():
        _move_folder(made, target)
    else:
        move_file(made, target)


def move_file(made: Path, target: Path) -> None:
    """Move a file to a place where nothing is.

    Raises
    ------
    FileExistsError
        If something is there.
    """
    try:
        os.link(made, target)  # fails if the target exists
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(made, target)


def _move_folder(made: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(target)
    os.rename(made, target)


def _replace(made: Path, target: Path) -> None:
    """Put a result in the place of an older one, which is back if that fails."""
    if not (made.is_dir() or target.is_dir()):
        os.replace(made, target)
        return
    old = made.with_name(_REPLACED)
    if os.path.lexists(target):
        os.rename(target, old)
    try:
        os.rename(made, target)
    except OSError:
        if os.path.lexists(old):
            os.rename(old, target)
        raise


def _put_back(folder: Path, target: Path) -> None:
    """What a run that was killed had moved away, and not replaced yet."""
    old = folder / _REPLACED
    if os.path.lexists(old) and not os.path.lexists(target):
        os.rename(old, target)


# --- the folder -----------------------------------------------------------------------
def _locked(target: Path) -> tuple[Path, int]:
    """The folder of a target, new or left by an earlier run, and its lock."""
    for _ in range(_RETRIES):
        folder = next(one for one in _candidates(target) if _usable(one))
        if not os.path.lexists(folder):
            made = _made(target, folder)
            if made is not None:
                return folder, made
        elif (lock := _lock(folder, target)) is not None:
            return folder, lock
    raise DataError(f"{target.name!r} is being written by others: wait until they end")


def _candidates(target: Path) -> Iterator[Path]:
    for number in count():
        end = f"-{number}" if number else ""
        yield target.with_name(f"{target.name}.unfinished{end}")


def _usable(folder: Path) -> bool:
    """Whether a folder is not there, or one of ours."""
    return not os.path.lexists(folder) or (folder / _LOCK).is_file()


def _made(target: Path, folder: Path) -> int | None:
    """A new folder, locked before anybody can see it; ``None`` if others were first."""
    hidden = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=folder.parent))
    try:
        lock = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT)
        exclusively(lock)
        os.rename(hidden, folder)
    except BaseException as error:
        shutil.rmtree(hidden, ignore_errors=True)
        if isinstance(error, OSError) and os.path.lexists(folder):
            os.close(lock)
            return None  # others were first
        raise
    return lock


def _lock(folder: Path, target: Path) -> int | None:
    """Lock a folder that is there; ``None`` if it went away meanwhile."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    if not exclusively(lock):
        os.close(lock)
        raise DataError(
            f"{target.name!r} is being written by another process: wait until it ends, "
            "or choose another name"
        )
    with suppress(OSError):
        if os.path.samestat(os.fstat(lock), os.stat(folder / _LOCK)):
            return lock
    os.close(lock)
    return None


def exclusively(lock: int) -> bool:
    """Lock an open file for this process, where the file system can."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network without locks
        return True
    return True


def _done(folder: Path, key: str) -> frozenset[str]:
    """Parts that are done of this result; what is of another one is taken away."""
    known, record = folder / _KEY, folder / _DONE
    if known.exists() and known.read_text(encoding="utf-8") == key and record.exists():
        *lines, _ = record.read_text(encoding="utf-8").split("\n")
        record.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return frozenset(lines)
    _empty(folder)
    record.touch()
    known.write_text(key, encoding="utf-8")
    return frozenset()


def _release(folder: Path, lock: int, kept: bool) -> None:
    """Unlock a folder; take it away unless it is to be gone on with."""
    if kept:
        os.close(lock)
        return
    try:
        _empty(folder)
    except BaseException:  # a signal in the middle of it
        _empty(folder)
        raise
    finally:
        if os.name == "nt":  # where nothing that is open can be taken away
            os.close(lock)
        try:
            _remove(folder)
        except BaseException:  # a signal between the two
            _remove(folder)
            raise
        if os.name != "nt":
            os.close(lock)


def _remove(folder: Path) -> None:
    """Take an empty folder away, and its lock."""
    with suppress(OSError):
        (folder / _LOCK).unlink(missing_ok=True)
        folder.rmdir()


def _empty(folder: Path) -> None:
    """Take all away but the lock; the key first: nothing goes on from a rest."""
    (folder / _KEY).unlink(missing_ok=True)
    for one in folder.iterdir():
        if one.name != _LOCK:
            _take_away(one) if one.is_dir() else one.unlink()


def _take_away(folder: Path) -> None:
    """Remove a folder, also if a thread of zarr still writes its last chunks there."""
    for _ in range(_RETRIES):
        try:
            return shutil.rmtree(folder)
        except OSError as error:
            if error.errno not in (ENOENT, ENOTEMPTY):
                raise
            if not folder.exists():
                return None
            time.sleep(_PAUSE)
    return shutil.rmtree(folder)


def tidy(target: Path) -> None:
    """Take away what a run left that was killed while it took its folder away."""
    folder = next(_candidates(target))
    if (folder / _LOCK).is_file() and not (folder / _KEY).exists():
        with suppress(DataError):  # somebody is at it
            lock = _lock(folder, target)
            if lock is not None:
                _release(folder, lock, kept=False)
