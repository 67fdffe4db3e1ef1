"""What a question found, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_disentangle.image.arrays import Array

# A p value up to this is told as a difference.
LEVEL = 0.05
NOTHING = "Nothing is concluded"


@dataclass(frozen=True)
class Guard:
    """The check of an answer.

    Attributes
    ----------
    passed
        Whether the answer may be believed.
    why
        What was checked, or why it may not, in one sentence.
    figures
        Behind that sentence, by name.
    checked
        Whether anything was: without groups nothing can be.
    """

    passed: bool
    why: str
    figures: Mapping[str, float] = field(default_factory=dict)
    checked: bool = True


@dataclass(frozen=True, eq=False)
class Finding:
    """An answer.

    Attributes
    ----------
    question
        Which was asked.
    statement
        The answer in words, made from the figures; nothing is claimed that the guard
        refused.
    guard
        The check of it.
    columns
        For every row of the table (n,); none if the guard refused.
    table
        Rows that a person reads.
    plot
        Arrays to be drawn: ``x`` and ``y`` (n,), and what they are coloured by.
    said
        What else a person should know, in sentences.
    """

    question: str
    statement: str
    guard: Guard
    columns: Mapping[str, Array] = field(default_factory=dict, repr=False)
    table: Sequence[Mapping[str, Any]] = ()
    plot: Mapping[str, Array] = field(default_factory=dict, repr=False)
    said: tuple[str, ...] = ()


def found(
    question: str,
    claim: str,
    guard: Guard,
    columns: Mapping[str, Array] | None = None,
    table: Sequence[Mapping[str, Any]] = (),
    plot: Mapping[str, Array] | None = None,
    said: tuple[str, ...] = (),
) -> Finding:
    """A finding that claims something only if its guard passed."""
    statement = claim if guard.passed else f"{NOTHING}: {guard.why}."
    named, drawn = dict(columns or {}), dict(plot or {})
    if not guard.passed:  # what was told of single objects is refused with the claim
        drawn = {name: one for name, one in drawn.items() if name not in named}
        table, named = [row for row in table if "row" not in row], {}
    return Finding(question, statement, guard, named, table, drawn, said)


def corrected(p: float, asked: int) -> float:
    """A p value of one of several questions (Bonferroni)."""
    return float(np.minimum(1.0, p * asked))


def p_text(p: float) -> str:
    """A p value in words."""
    return "p unknown" if np.isnan(p) else "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def listed(names: Sequence[Any], most: int = 4) -> str:
    """Some names, and how many more there are."""
    shown = [str(name) for name in names[:most]]
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)
