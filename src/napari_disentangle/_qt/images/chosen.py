"""What is chosen in the table, taken on the main thread before a worker starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from napari_disentangle._qt.images.picking import groups
from napari_disentangle._qt.images.reading import Reading
from napari_disentangle._qt.images.table import ImageTable
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.image.field import Field
from napari_disentangle.layers.marks import marked
from napari_disentangle.layers.style import Picked


@dataclass(frozen=True, eq=False)
class One:
    """One image: how it is read, its layers, its batch, and what it is for."""

    picked: Picked
    layers: tuple[Any, ...]
    batch: str
    role: str

    @property
    def field(self) -> Field:
        """The image."""
        return self.picked.field

    @property
    def names(self) -> list[str]:
        """Names of its layers."""
        return [layer.name for layer in self.layers]


@dataclass(frozen=True, eq=False)
class Chosen:
    """All images that take part, and why others cannot.

    Attributes
    ----------
    images
        Of one kind, with the same channels.
    left_out
        One sentence for each image that was checked and cannot take part.
    """

    images: tuple[One, ...] = ()
    left_out: tuple[str, ...] = ()

    def of(self, role: str) -> list[One]:
        """Those that are for one thing."""
        return [one for one in self.images if one.role == role]

    def in_words(self) -> str:
        """Say what was chosen, e.g. "2 images: RGB brightfield, 480 x 480 (YX)"."""
        if not self.images:
            return "" if self.left_out else "Check at least one image."
        fields = [one.field for one in self.images]
        kinds = list(dict.fromkeys(field.describe() for field in fields))
        count = "1 image" if len(fields) == 1 else f"{len(fields)} images"
        remarks = dict.fromkeys(words for field in fields for words in field.remarks)
        return "\n".join([f"{count}: {'; '.join(kinds)}", *remarks])

    def measured_on(self, marks: Any | None) -> Chosen:
        """The same, with looks measured where a layer is painted on the images.

        What it paints nothing on is measured as a whole.

        Raises
        ------
        DataError
            If it paints on none of them.
        """
        if marks is None:
            return self
        painted = tuple(one_painted(one, marks) for one in self.images)
        if all(one.field.where is None for one in painted):
            raise DataError(
                f"{marks.name!r} marks nothing on the images: paint there where their "
                "look is to be measured"
            )
        return replace(self, images=painted)


def one_painted(one: One, marks: Any) -> One:
    """An image with what is painted on it, if anything is."""
    field = one.field
    axes = field.axes[1:] if len(one.layers) > 1 else field.grid_axes
    mask = marked(marks, one.layers, axes)
    if not mask.any():
        return one
    return replace(one, picked=replace(one.picked, field=replace(field, where=mask)))


def chosen(
    table: ImageTable, as_channels: bool, reading: Callable[[Any], Reading]
) -> Chosen:
    """What is checked: images that go together, and what is left out.

    Parameters
    ----------
    table
        The table of images.
    as_channels
        Whether layers of one shape in one place are channels of one image.
    reading
        How a layer is to be read.
    """
    found, left_out = [], []
    for layers in groups(table.checked(), as_channels):
        how = reading(layers[0])
        try:
            picked = Picked.of(
                layers, axes=how.axes, modality=how.modality, full_scale=how.full_scale
            )
        except (DisentangleError, ValueError) as error:
            left_out.append(f"{layers[0].name} cannot be used: {error}")
            continue
        first = layers[0]
        found.append(One(picked, tuple(layers), table.batch(first), table.role(first)))
    usual = _usual(found)
    left_out += [_unlike(one, usual) for one in found if _kind(one) != usual]
    return Chosen(tuple(one for one in found if _kind(one) == usual), tuple(left_out))


Kind = tuple[str, tuple[str, ...]]


def _kind(one: One) -> Kind:
    names = tuple(name for name in one.field.channel_names if name != "alpha")
    return one.field.modality, names if len(names) > 1 else ()


def _usual(found: Iterable[One]) -> Kind | None:
    """The kind of most images; of two that are as frequent, the first."""
    counted = Counter(map(_kind, found)).most_common(1)
    return counted[0][0] if counted else None


def _unlike(one: One, usual: Kind | None) -> str:
    assert usual is not None
    return (
        f"{one.field.name} is left out: it is {_told(_kind(one))}, the others are "
        f"{_told(usual)}"
    )


def _told(kind: Kind) -> str:
    modality, names = kind
    which = f"channels {', '.join(names)}" if names else "1 channel"
    return f"{modality} with {which}"
