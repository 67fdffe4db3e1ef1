"""Stacks: what is computed of a plane serves all planes near it along Z."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_disentangle.axes import Lead
    from napari_disentangle.field import Field


@runtime_checkable
class Stacked(Protocol):
    """What an operation adds if its result for a plane takes in the planes near it.

    Called with a region of one plane it then gives what the planes near it need too.
    """

    @property
    def reach(self) -> int:
        """How many planes before and after a plane it takes in."""

    def merged(self, parts: Mapping[int, NDArray[Any]]) -> NDArray[Any]:
        """Result for a plane, from what it gave for those near it.

        ``parts`` are of one region, by their distance in planes: 0 is the plane itself,
        and those that would lie outside the stack are missing.
        """


def near(image: Field, lead: Lead, reach: int) -> dict[int, Lead]:
    """Planes at most so far from a plane along Z, by their distance, in order."""
    if not reach:
        return {0: lead}
    place = image.lead_axes.index("Z")
    z, n = lead[place], image.size("Z")
    return {
        other - z: (*lead[:place], other, *lead[place + 1 :])
        for other in range(max(0, z - reach), min(n, z + reach + 1))
    }


def along(
    image: Field,
    leads: Sequence[Lead],
    reach: int,
    compute: Callable[[Lead], Generator[None, None, NDArray[Any]]],
) -> Iterator[tuple[Lead, dict[int, NDArray[Any]]] | None]:
    """Compute one region of planes, and show each plane those near it.

    No more is kept than what one plane sees, and Z runs fastest, so that nothing is
    computed twice where planes follow each other.

    Yields
    ------
    (lead, parts) or None
        ``None`` after a plane, or a step of it, was computed; a plane, and by distance
        along Z what was computed of those near it, as soon as all of them are known.
    """
    known: dict[Lead, NDArray[Any]] = {}
    for lead in _z_last(image, leads):
        wanted = near(image, lead, reach)
        known = {one: known[one] for one in wanted.values() if one in known}
        for one in wanted.values():
            if one not in known:
                known[one] = yield from compute(one)
                yield None
        yield lead, {distance: known[one] for distance, one in wanted.items()}


def _z_last(image: Field, leads: Sequence[Lead]) -> list[Lead]:
    """Planes in the order in which Z runs fastest."""
    axes = image.lead_axes
    order = sorted(range(len(axes)), key=lambda i: axes[i] == "Z")
    return sorted(leads, key=lambda lead: [lead[i] for i in order])
