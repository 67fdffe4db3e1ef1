"""Attribute: the small vector that says how an image looks (stain, exposure, ...)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from napari_disentangle.errors import ChannelError, DataError, ModelFileError
from napari_disentangle.image.arrays import Doubles

# No image has larger values, and none whose name says that they are exponents.
_LARGEST, _LARGEST_LOG = 1e12, 50.0
_LOG = "log "
# First word of a name, and what was written of an attribute, by version 0.1.
_OLD = {"trust"}
_NO_MORE = ("unlike",)


@dataclass(frozen=True, eq=False)
class Attribute:
    """How an image looks, as numbers that may be mixed linearly.

    Attributes
    ----------
    values
        Float64 of shape (P,), or (..., P) with one row per plane or stack when
        ``axes`` names the leading axes. NaN where there was nothing to measure: such
        planes are rendered as they are.
    names
        Names of the P values.
    spread
        Robust standard deviation of each value over the tiles of the image (P,).
    n_tiles
        Number of tiles that had enough to measure; 0 means nothing was found.
    channels
        Names of the channels it describes.
    model, model_hash
        Which model it belongs to.
    axes
        Leading axes of ``values``; empty for one attribute per image or batch.
    status
        What a person should know, in words.
    empty
        Channels that show nothing, beside others that do: they have no look to take
        or give, and are left as they are.
    """

    values: Doubles
    names: tuple[str, ...]
    spread: Doubles
    n_tiles: int
    channels: tuple[str, ...]
    model: str
    model_hash: str
    axes: str = ""
    status: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there was anything to measure, at least on some planes."""
        return bool(np.isfinite(self.values).all(axis=-1).any())

    def at(self, lead: tuple[int, ...], lead_axes: str) -> Doubles:
        """Values (P,) that hold for one plane of an image."""
        index = dict(zip(lead_axes, lead, strict=True))
        row: Doubles = self.values[tuple(index[a] for a in self.axes)]
        return row

    def mix(self, other: Attribute, strength: float) -> Attribute:
        """Move from this attribute (0) to the other (1), linearly in the values.

        Raises
        ------
        ChannelError
            If the two describe different models or channels.
        ValueError
            If ``strength`` is not finite.
        """
        if not np.isfinite(strength):
            raise ValueError(
                f"strength {strength} must be a finite number, e.g. 0 to 1"
            )
        self.check(other)
        if other.axes:
            other.check_rows(self.axes, self.values.shape[:-1])
        values = (1 - strength) * self.values + strength * other.values
        if other.found:  # its constant planes have no look to give
            values = np.where(np.isfinite(other.values), values, self.values)
        empty = tuple(sorted({*self.empty, *other.empty}))
        return replace(self, values=values, status=(), empty=empty)

    def check(self, other: Attribute) -> None:
        """Raise one clear sentence if ``other`` cannot be used with this one."""
        if other.model == self.model and _OLD & {
            n.partition(" ")[0] for n in other.names
        }:
            raise ChannelError(
                f"the donor's attribute was measured by {self.model!r} of version 0.1, "
                "whose networks are read no more: measure it again"
            )
        if other.model_hash != self.model_hash:
            raise ChannelError(
                f"the donor's attribute belongs to model {other.model!r}, but this is "
                f"{self.model!r} with other settings or weights: measure it again"
            )
        if other.channels != self.channels:
            raise ChannelError(
                f"the donor has channels {list(other.channels)}, but the image has "
                f"{list(self.channels)}: choose a donor with the same channels"
            )

    def check_rows(self, axes: str, sizes: tuple[int, ...]) -> None:
        """Raise one clear sentence if there is not one row for each of these planes.

        Raises
        ------
        DataError
            If the attribute has rows that do not pair with them.
        """
        known = dict(zip(axes, sizes, strict=True))
        own = dict(zip(self.axes, self.values.shape[:-1], strict=True))
        if any(known.get(axis) != n for axis, n in own.items()):
            raise DataError(
                f"this attribute has one row per {self.axes} ({own}), but the image "
                f"has {known or 'one plane'}: use one pooled over its image or batch"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings, lists; floats keep every digit, NaN is ``None``."""
        plain = asdict(self)
        arrays = {key: _listed(plain[key]) for key in ("values", "spread")}
        tuples = {k: list(v) for k, v in plain.items() if isinstance(v, tuple)}
        return plain | tuples | arrays

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Attribute:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ModelFileError
            If it is not an attribute.
        """
        try:
            arrays = {k: np.asarray(data[k], np.float64) for k in ("values", "spread")}
            keys = ("names", "channels", "status")
            tuples = {k: tuple(map(str, data[k])) for k in keys}
            tuples["empty"] = tuple(data.get("empty", ()))
            known = {k: v for k, v in data.items() if k not in _NO_MORE}
            read = cls(**(known | arrays | tuples))
            read.check_shape()
            read.check_values()
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise ModelFileError(f"this is not a saved attribute ({error})") from error
        return read

    def check_values(self) -> None:
        """Raise a ``ValueError`` if no image could have such values."""
        known = np.abs(np.nan_to_num(self.values, nan=0.0))  # NaN: nothing to measure
        for i, name in enumerate(self.names):
            most = _LARGEST_LOG if name.startswith(_LOG) else _LARGEST
            value = known[..., i].max(initial=0.0)
            if value > most:
                raise ValueError(f"{name} is {value:.3g}, and at most {most:.0e}")

    def check_shape(self) -> None:
        """Raise a ``ValueError`` if values and names do not pair."""
        one = (len(self.names),)
        shape = self.values.shape
        rows = len(shape) - 1
        if rows != len(self.axes) or shape[rows:] != one or self.spread.shape != one:
            raise ValueError(f"{len(self.names)} names, but values of shape {shape}")


def average(attributes: Sequence[Attribute]) -> Attribute:
    """Mean of several attributes, one vote per image; blank images do not vote.

    Attributes with leading axes are first averaged over them.
    """
    first = attributes[0]
    for other in attributes[1:]:
        first.check(other)
    rows = np.stack([pooled(_rows(a), a.names) for a in attributes])
    spreads = np.stack([a.spread for a in attributes])
    n_tiles = sum(a.n_tiles for a in attributes)
    found = [a for a in attributes if a.found]
    voting = found or attributes
    status = tuple(dict.fromkeys(s for a in voting for s in a.status))
    if 0 < len(found) < len(attributes):
        missing = len(attributes) - len(found)
        status += (f"no foreground in {missing} of {len(attributes)} images: no vote",)
    return replace(
        first,
        values=pooled(rows, first.names),
        spread=pooled(spreads, ()),
        n_tiles=n_tiles,
        axes="",
        status=status,
        empty=tuple(sorted(set.intersection(*({*a.empty} for a in voting)))),
    )


def _listed(values: Doubles) -> Any:
    """Nested lists; JSON has no NaN."""
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def _rows(attribute: Attribute) -> Doubles:
    shape = attribute.values.shape
    return attribute.values.reshape(math.prod(shape[:-1]), shape[-1])


# In names of values that are of all pixels, also of those far from all others.
OF_ALL = " of all pixels"


def pooled(rows: Doubles, names: Sequence[str]) -> Doubles:
    """Mean (P,) of rows (n, P) of values, in any order; NaN rows do not count.

    What is named ``... of class 3`` weighs as much as the ``share of class 3``.
    """
    known = rows[np.isfinite(rows).all(axis=1)]
    if not len(known):
        unknown: Doubles = rows[0]
        return unknown
    mean: Doubles = _sum(known) / len(known)
    place = {name: i for i, name in enumerate(names)}
    shares = (f"share of {name.partition(' of ')[2]}" for name in names)
    of = np.array([place.get(s, i) for i, s in enumerate(shares)], np.intp)
    weighed = np.flatnonzero(of != np.arange(len(names)))
    weights = known[:, of[weighed]]
    total = _sum(weights)
    means = _sum(weights * known[:, weighed]) / np.where(total > 0, total, 1)
    mean[weighed] = np.where(total > 0, means, mean[weighed])
    return mean


def _sum(rows: Doubles) -> Doubles:
    """Sum over rows, the same for any order of them."""
    total: Doubles = np.sort(rows, axis=0).sum(axis=0)
    return total
