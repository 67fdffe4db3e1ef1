"""Codes: what a coder says of objects, as one matrix with names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_disentangle.image.arrays import Floats
from napari_disentangle.objects.nuisance import Removal, refuse_confounded, removal
from napari_disentangle.objects.objects import Objects


@dataclass(frozen=True, eq=False)
class Codes:
    """A row per object, in the order of its table.

    Attributes
    ----------
    objects
        Whose codes they are.
    values
        (n, L) float32, NaN where it cannot be said.
    names
        Of the columns.
    coder
        Which coder, of what: the image or the content of a model, by its hash.
    nested
        How many of the first values are codes of their own, coarse to fine.
    said
        What a person should know, in sentences.
    removed
        What :meth:`without` took out.
    """

    objects: Objects = field(repr=False)
    values: Floats = field(repr=False)
    names: tuple[str, ...]
    coder: str
    nested: tuple[int, ...] = ()
    said: tuple[str, ...] = ()
    removed: tuple[Removal, ...] = ()

    @property
    def hash(self) -> str:
        """What tells these codes from others."""
        known = hashlib.sha256(f"{self.coder} {self.names}".encode())
        known.update(np.ascontiguousarray(self.values).tobytes())
        return known.hexdigest()[:16]

    @property
    def recipe(self) -> Mapping[str, Any]:
        """How they came about, in plain JSON types."""
        removed = [str(one) for one in self.removed]
        return {"coder": self.coder, "hash": self.hash, "removed": removed}

    def columns(self) -> dict[str, Floats]:
        """Columns by name (n,)."""
        return dict(zip(self.names, self.values.T, strict=True))

    def without(
        self, columns: str | Sequence[str], biology: str | None = None
    ) -> Codes:
        """The same without what tells a nuisance, as far as that is linear.

        Parameters
        ----------
        columns
            ``"position"`` for the place in the field of view, or names of columns of
            the table, to which :meth:`Objects.having` adds (a plate, a focus).
        biology
            A column that has to stay: if it cannot be told from a nuisance, nothing is
            taken out.

        Returns
        -------
        Codes
            The last of its ``removed`` says how well a linear fit told the nuisance on
            held-out rows before and after, and what it cost.

        Raises
        ------
        DataError
            If there is no such column, or it and the biology are confounded.
        """
        named = (columns,) if isinstance(columns, str) else tuple(columns)
        if biology is not None:
            refuse_confounded(self.objects, named, biology)
        return self.less((removal(self.objects, self.values, named),))

    def less(self, removed: Sequence[Removal]) -> Codes:
        """The same without what was taken out of other codes."""
        values = self.values
        for one in removed:
            values = one.apply(values)
        return replace(self, values=values, removed=(*self.removed, *removed))
