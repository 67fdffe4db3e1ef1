"""The questions, and asking one."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Protocol

import numpy as np

from napari_disentangle.asking.columns import Table, read_table, text_of
from napari_disentangle.asking.finding import Finding, listed
from napari_disentangle.asking.populations import Populations
from napari_disentangle.asking.separable import Separable
from napari_disentangle.asking.teach import Teach
from napari_disentangle.asking.typical import Typical
from napari_disentangle.errors import DataError

# What columns of batches are called.
_BATCHES = ("plate", "batch", "slide", "scanner")


class Question(Protocol):
    """A question with its columns."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Columns that are no features."""

    def asking(
        self, table: Table, seed: int, asked: int
    ) -> Generator[None, None, Finding]:
        """Answer from a table; yield wherever it can be stopped."""


@dataclass(frozen=True)
class Entry:
    """A question and what it takes."""

    description: str
    config: type[Any]


_QUESTIONS: dict[str, type[Any]] = {
    "separable": Separable,
    "populations": Populations,
    "teach": Teach,
    "typical": Typical,
}


def questions() -> dict[str, Entry]:
    """All questions by name."""
    return {
        name: Entry((one.__doc__ or "").partition("\n")[0], one)
        for name, one in _QUESTIONS.items()
    }


def ask(question: str, table: Any, **options: Any) -> Finding:
    """Ask a table of objects; see :func:`ask_steps`."""
    *_, found = ask_steps(question, table, **options)
    assert found is not None
    return found


def ask_steps(
    question: str,
    table: Any,
    *,
    features: Sequence[str] | None = None,
    seed: int = 0,
    asked: int = 1,
    **options: Any,
) -> Generator[Finding | None, None, None]:
    """Ask a table of objects.

    Parameters
    ----------
    question
        One of :func:`questions`.
    table
        One row per object: columns by name, ``layer.features`` or a CSV file.
    features
        Columns that say what objects look like; else their codes, or without these all
        columns of numbers that do not say where they are.
    seed
        Decides every random choice.
    asked
        How many questions are asked of this table in all: p is corrected for it.
    **options
        Of the question, such as ``by="treatment"``.

    Yields
    ------
    None or Finding
        ``None`` wherever it can be stopped; at last the answer.

    Raises
    ------
    DataError
        If the table does not hold what is asked for.
    """
    asking = _question(question, options)
    yield None
    read = read_table(table, asking.roles, features)
    yield None
    answer = yield from asking.asking(read, seed, asked)
    yield replace(answer, said=(*answer.said, *_on_several(read, asking)))


def _on_several(table: Table, asking: Question) -> Iterator[str]:
    """Which groups have one name on several plates, if nobody named the plates."""
    groups = getattr(asking, "groups", None)
    if groups is None or getattr(asking, "batch", None) is not None:
        return
    own = table.role(groups, "groups")
    there = (name for name in _BATCHES if name in table.columns)
    for name in (name for name in there if name not in asking.roles):
        batch = np.array([text_of(one) for one in table.columns[name].tolist()])
        pairs = np.stack([own, batch])[:, (own != "") & (batch != "")]
        names, counts = np.unique(np.unique(pairs, axis=1)[0], return_counts=True)
        if len(counts) and counts.max() > 1:
            yield (
                f"{groups} {names[counts.argmax()]} is in {counts.max()} of {name!r} "
                f"and counts as one group: name batch={name!r}"
            )


def _question(question: str, options: Mapping[str, Any]) -> Question:
    """The question with its columns."""
    if question not in _QUESTIONS:
        raise DataError(
            f"there is no question {question!r}: ask one of {', '.join(_QUESTIONS)}"
        )
    config = _QUESTIONS[question]
    known = [one.name for one in fields(config)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise DataError(
            f"{question!r} has no option {unknown[0]!r}: it has {', '.join(known)}"
        )
    needed = [one.name for one in fields(config) if one.default is MISSING
              and one.default_factory is MISSING]  # fmt: skip
    lacking = [name for name in needed if not options.get(name)]
    if lacking:
        raise DataError(
            f"{question!r} needs {listed(lacking)}: name the "
            f"column{'s' * (len(lacking) > 1)}"
        )
    asking: Question = config(**options)
    return asking
