"""Images under each other's looks, to train a network that should not mind the look."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, TypeVar

import numpy as np

from napari_disentangle.errors import DataError
from napari_disentangle.image.arrays import Array
from napari_disentangle.image.field import Field
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.model import Model

Label = TypeVar("Label")


def augment(
    model: Model,
    images: Sequence[Field],
    labels: Sequence[Label],
    copies: int = 1,
    attributes: Sequence[Attribute] | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Iterator[tuple[Array, Label]]:
    """Show images under the looks of others; labels, such as masks, stay what they are.

    The mixing of ContriMix (Nguyen et al. 2023, arXiv 2306.04527), over all images in
    place of a minibatch: the look of every copy is that of an image drawn uniformly,
    with replacement, without a word on batches. It works with every model, and may be
    closed at any time.

    Parameters
    ----------
    model
        A fitted model.
    images
        What is shown, in this order.
    labels
        One per image; passed on as it is.
    copies
        Looks that every image is shown under (M in the paper).
    attributes
        Of the images, if they were measured before: then no epoch measures them again.
    seed
        Decides which looks; take another one for every epoch.
    device
        ``"cpu"``, ``"cuda:0"``, ...

    Yields
    ------
    tuple
        An array of the shape and type of ``image.data``, and the image's label. Blank
        images have no look to change or to give: they come as they are.

    Raises
    ------
    ValueError
        If ``copies`` is below 1.
    DataError
        If there is not one label, and one attribute if any, per image.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_disentangle as nd
    >>> rng = np.random.default_rng(0)
    >>> pictures = [rng.integers(0, top, (32, 32)).astype("uint8") for top in (90, 250)]
    >>> images = [nd.Field(picture, "YX") for picture in pictures]
    >>> model = nd.fit(images, "meanstd")
    >>> looks = [model.attribute(image) for image in images]
    >>> for epoch in range(2):
    ...     for x, y in nd.augment(model, images, ["a", "b"], 2, looks, seed=epoch):
    ...         pass  # one step of your own training
    >>> x.shape, x.dtype, y
    ((32, 32), dtype('uint8'), 'b')
    """
    if copies < 1:
        raise ValueError(f"copies must be at least 1, but it is {copies}")
    _check(len(images), labels, "labels")
    if attributes is not None:
        _check(len(images), attributes, "attributes")
    return _mixed(model, images, labels, copies, attributes, seed, device)


def _mixed(
    model: Model,
    images: Sequence[Field],
    labels: Sequence[Label],
    copies: int,
    attributes: Sequence[Attribute] | None,
    seed: int,
    device: str,
) -> Iterator[tuple[Array, Label]]:
    own = attributes or [model.attribute(image) for image in images]
    looks = [attribute for attribute in own if attribute.found]
    rng = np.random.default_rng(seed)
    for image, label, source in zip(images, labels, own, strict=True):
        for _ in repeat(None, copies):
            target = looks[rng.integers(len(looks))] if looks else source
            yield model.render(image, target, source, device), label


def _check(images: int, given: Sequence[Any], what: str) -> None:
    if len(given) != images:
        raise DataError(
            f"{images} images came with {len(given)} {what}: give one per image"
        )
