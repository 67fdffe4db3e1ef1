"""Files of lines: what is known of every image, whole after any crash.

Every line is one JSON record and is written at once; a line that a crash cut off is
dropped. Each run of a part of a study writes lines of its own, and all are read.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from napari_disentangle.errors import DataError
from napari_disentangle.files.place import exclusively

_ENDING, _LOCK = ".jsonl", ".study{}.lock"
# When a line was written: parts of a study may be run in any order.
WHEN = "when"
Record = Mapping[str, Any]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Part:
    """One of several runs that share a study, from 0; ``Part()`` is the whole."""

    number: int = 0
    of: int = 1

    @property
    def mark(self) -> str:
        """What is added to names of files that only this run writes."""
        return f"-{self.number}-of-{self.of}" if self.of > 1 else ""

    def of_all(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """This run's share."""
        return items[self.number :: self.of]


def in_use(folder: Path) -> bool:
    """Whether a folder holds what a study wrote."""
    return any(folder.glob(_LOCK.format("*")))


@contextmanager
def alone(folder: Path, part: Part) -> Iterator[None]:
    """Be the only one that runs this part.

    Raises
    ------
    DataError
        If another process runs it.
    """
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / _LOCK.format(part.mark), os.O_RDWR | os.O_CREAT)
    try:
        if not exclusively(lock):
            raise DataError(
                f"the study in {str(folder)!r} is being run by another process: wait "
                "until it ends, or run parts of it with --shard"
            )
        yield
    finally:
        os.close(lock)


@contextmanager
def writable(place: Path) -> Iterator[None]:
    """Say in one sentence what cannot be written.

    Raises
    ------
    DataError
        Instead of an error of the system.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{str(place)!r} cannot be written ({error.strerror or error}): make room, "
            "or choose another folder, and run again"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file that takes the place of another when it is whole."""
    made = path.with_name(f".{os.getpid()}.{path.name}")
    with writable(path):
        yield made
        os.replace(made, path)


def write_table(path: Path, rows: Callable[[], Iterable[Mapping[str, object]]]) -> None:
    """Write rows as CSV; names of files that are no text are written with escapes.

    Parameters
    ----------
    path
        The file; it is there whole or as it was before.
    rows
        Gives the rows, twice: for the columns, and for what is in them.
    """
    columns = dict.fromkeys(name for row in rows() for name in row)
    with (
        replacing(path) as made,
        made.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, [*columns])
        writer.writeheader()
        writer.writerows(rows())


@contextmanager
def adding(folder: Path, name: str, part: Part) -> Iterator[BinaryIO]:
    """Open a file of lines at its end, behind the last line that is whole."""
    path = folder / f"{name}{part.mark}{_ENDING}"
    with path.open("ab+") as file:
        file.seek(0)
        whole = sum(len(line) for line in file if line.endswith(b"\n"))
        file.truncate(whole)
        yield file


def add(file: BinaryIO, record: Record) -> int:
    """Write one line at once; returns where it begins."""
    with writable(Path(file.name)):
        place = file.seek(0, os.SEEK_END)
        file.write(json.dumps({**record, WHEN: time.time()}).encode() + b"\n")
        file.flush()
    return place


def files(folder: Path, name: str) -> list[Path]:
    """The files of lines of all parts."""
    known = folder.glob(f"{name}*{_ENDING}")
    return sorted(one for one in known if one.stem == name or "-of-" in one.stem)


def lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Where records begin in a file, and what they are."""
    place = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield place, json.loads(line)
            place += len(line)


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    """All records of all parts, the oldest first."""
    known = [record for path in files(folder, name) for _, record in lines(path)]
    return sorted(known, key=lambda record: float(record.pop(WHEN)))
