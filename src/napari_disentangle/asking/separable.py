"""Whether a label is told in other groups, and whether it is more than the batch."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_disentangle.asking.columns import Table
from napari_disentangle.asking.finding import (
    LEVEL,
    Finding,
    Guard,
    corrected,
    found,
    listed,
    p_text,
)
from napari_disentangle.asking.telling import Told, joined, reading, telling
from napari_disentangle.audit.confounding import CONFOUNDED, cramers_v
from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array

# Above chance, as a share of what there is above it: 0.6 of two labels (OUR CHOICE).
_ENOUGH = 0.2


@dataclass(frozen=True)
class Separable:
    """Can a label be told in other groups, or only the batch.

    Attributes
    ----------
    by
        Column of the label, such as the treatment.
    groups
        Column of what must not be split: wells, slides, animals.
    batch
        Column of the batch, such as the plate.
    """

    by: str
    groups: str
    batch: str | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Columns that are no features."""
        return tuple(one for one in (self.by, self.groups, self.batch) if one)

    def asking(
        self, table: Table, seed: int, asked: int
    ) -> Generator[None, None, Finding]:
        """Answer from a table; yield wherever it can be stopped."""
        _check_apart(self.roles)
        known = {self.by: table.role(self.by, "by")}
        groups = table.role(self.groups, "groups")
        if self.batch:
            known[self.batch] = table.role(self.batch, "batch")
        there = np.all([one != "" for one in (*known.values(), groups)], axis=0)
        kept, group = table.only(there), groups[there]
        values = {name: one[there] for name, one in known.items()}
        if self.batch:  # a well A1 of every plate is as many wells
            group = joined(values[self.batch], group)
        left = len(table) - len(kept)
        lost = (f"{left} objects without one of these columns were left out",)
        said = (*table.said, *(lost if left else ()))
        refusal = self._refusal(values, group)
        plot = dict(zip("xy", kept.picture().T, strict=True))
        plot |= values
        if refusal:
            return found("separable", "", Guard(False, refusal), plot=plot, said=said)
        tolds: dict[str, Told] = {}
        for name, labels in values.items():
            try:
                ask = reading if name == self.batch else telling
                tolds[name] = yield from ask(kept.values, labels, group, seed)
            except DataError as error:
                guard = Guard(False, str(error))
                return found("separable", "", guard, plot=plot, said=said)
        guard = _guard(tolds[self.by], self, asked)
        rows = [_row(name, one, asked) for name, one in tolds.items()]
        claim = _statement(self, tolds, asked)
        return found("separable", claim, guard, table=rows, plot=plot, said=said)

    def _refusal(self, values: Mapping[str, Array], group: Array) -> str:
        """Why label and batch of groups cannot be told apart, or nothing."""
        if not self.batch:
            return ""
        columns = [values[name] for name in (self.by, self.batch)]
        # of every group once, however many objects it has
        once = np.unique(joined(group, *columns), return_index=True)[1]
        return _refusal(self.by, self.batch, *(one[once] for one in columns))


def _check_apart(roles: tuple[str, ...]) -> None:
    if len({*roles}) < len(roles):
        raise DataError(
            f"one column is named twice ({listed(roles)}): the label, what must not be "
            "split and the batch are three columns"
        )


def _refusal(by: str, batch: str, one: Array, other: Array) -> str:
    """Why label and batch cannot be told apart, or nothing."""
    if cramers_v(other, one) < CONFOUNDED:
        return ""
    there = {*zip(one.tolist(), other.tolist(), strict=True)}
    empty = [
        f"{a} in {b}"
        for a in np.unique(one)
        for b in np.unique(other)
        if (a, b) not in there
    ]
    return (
        f"{by!r} and {batch!r} cannot be told apart, because there is no "
        f"{listed(empty)}"
    )


def _guard(one: Told, config: Separable, asked: int) -> Guard:
    if np.isnan(one.p):
        why = (
            f"{one.groups} groups ({config.groups}) are too few for a p value, which "
            "needs at least four of every label"
        )
        return Guard(False, why, {"accuracy": one.accuracy, "chance": one.chance})
    if corrected(one.least, asked) > LEVEL:
        why = f"{one.groups} groups are too few for an answer to {asked} questions"
        return Guard(False, why, {"accuracy": one.accuracy, "chance": one.chance})
    why = f"asked in {one.groups} groups ({config.groups}) that were not learned from"
    return Guard(True, why, {"p": one.p})


def _row(name: str, one: Told, asked: int) -> dict[str, Any]:
    return {
        "column": name,
        "balanced accuracy": round(one.accuracy, 3),
        "chance": round(one.chance, 3),
        "p": round(corrected(one.p, asked), 4),
        "objects": one.rows,
        "groups": one.groups,
    }


def _statement(config: Separable, tolds: dict[str, Told], asked: int) -> str:
    """The verdict, of the label and of the batch."""
    one = tolds[config.by]
    yes = _is_told(one, asked)
    little = corrected(one.p, asked) <= LEVEL and not yes
    known = "is" if yes else "is hardly" if little else "is not"
    claim = f"{config.by!r} {known} separable with these features"
    figures = _figures(one, config, asked)
    if not config.batch:
        return f"{claim} ({figures})."
    batch = tolds[config.batch]
    return f"{claim} ({figures}); {_of_batch(config, batch, yes)}."


def _is_told(one: Told, asked: int) -> bool:
    """Whether it is told by more than chance, and by enough to be of use."""
    excess = (one.accuracy - one.chance) / (1 - one.chance)
    return corrected(one.p, asked) <= LEVEL and excess >= _ENOUGH


def _figures(one: Told, config: Separable, asked: int) -> str:
    times = f" of {asked} questions" if asked > 1 else ""
    return (
        f"recognised with {one.accuracy:.2f} in other groups, chance {one.chance:.2f}, "
        f"{p_text(corrected(one.p, asked))}{times}, n = {one.groups} groups "
        f"({config.groups}) with {one.rows} objects"
    )


def _of_batch(config: Separable, batch: Told, yes: bool) -> str:
    """What is to be done about the batch: a check, which is never corrected."""
    share = f"recognised with {batch.accuracy:.2f}, chance {batch.chance:.2f}"
    if np.isnan(batch.p):
        return f"of the batch {config.batch!r} nothing is known ({share}, no p)"
    if batch.p > LEVEL:
        return f"the batch {config.batch!r} is not ({share})"
    if yes:
        return (
            f"so is the batch {config.batch!r} ({share}): take the look out and ask "
            "again, or compare within each batch"
        )
    return f"but the batch {config.batch!r} is ({share}): it is only the batch"
