"""All that is told of objects at once: measured to be read, coded to be grouped."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

from napari_disentangle.model.model import Model
from napari_disentangle.model.render import Rendering
from napari_disentangle.objects.coder import (
    DEFAULT,
    MEASURED,
    Coder,
    code_steps,
    measured_codes,
)
from napari_disentangle.objects.coders.measured import measuring_in
from napari_disentangle.objects.codes import Codes
from napari_disentangle.objects.finding import finding_in
from napari_disentangle.objects.groups import Groups, group
from napari_disentangle.objects.objects import Objects

# Share of the time that measuring takes.
_MEASURING = 0.2


@dataclass(frozen=True, eq=False)
class Told:
    """Objects, their groups, and what these are made from.

    Attributes
    ----------
    groups
        Of the codes.
    measured
        What people read, unless that is what the groups are of.
    """

    groups: Groups
    measured: Codes | None

    @property
    def objects(self) -> Objects:
        """The objects."""
        return self.groups.codes.objects

    @property
    def parts(self) -> tuple[Codes | Groups, ...]:
        """All that goes into the table, what is read first."""
        read = () if self.measured is None else (self.measured,)
        return (self.groups, *read, self.groups.codes)

    def at(self, level: int) -> Told:
        """The same in fewer or more groups."""
        return replace(self, groups=self.groups.at(min(level, self.groups.finest)))


def telling_in(
    shown: Rendering, on: Model, diameter: float | None = None, seed: int = 0
) -> Generator[float, None, Codes]:
    """Find and measure the objects of one image in what is shown of it.

    Parameters
    ----------
    shown
        The content of the image, as ``on`` renders it.
    diameter, seed
        As in :func:`napari_disentangle.find_objects`.

    Yields
    ------
    float
        The share that is done.
    """
    found = yield from finding_in(
        (shown.field,), [shown], on=on, diameter=diameter, seed=seed
    )
    columns = yield from measuring_in(found, [shown])
    return measured_codes(found, columns, on)


def telling(
    objects: Objects,
    coder: str | Coder = DEFAULT,
    on: Model | None = None,
    level: int = 4,
    seed: int = 0,
) -> Iterator[float | Told]:
    """Yield the share that is done, at last all that is told.

    Parameters
    ----------
    objects, coder, on, seed
        As in :func:`napari_disentangle.code`.
    level
        How many groups.
    """
    for step in code_steps(objects, MEASURED, on, seed):
        if isinstance(step, Codes):
            measured = step
        else:
            yield _MEASURING * step
    codes = measured
    alone = coder == MEASURED
    for step in [] if alone else code_steps(objects, coder, on, seed):
        if isinstance(step, Codes):
            codes = step
        else:
            yield _MEASURING + (1 - _MEASURING) * step
    same = codes.coder == measured.coder
    yield Told(group(codes, level, seed), None if same else measured)
