"""`nd.augment`: other looks, the same labels."""

from __future__ import annotations

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.samples import synthetic

LOOKS = (synthetic.VIOLET, synthetic.ROSE)
SLIDES = [
    nd.Field(
        synthetic.render(synthetic.tissue(seed, 64), LOOKS[seed % 2], 1.0, seed), "YXC"
    )
    for seed in range(4)
]
LABELS = ["benign", "tumour", "tumour", "benign"]
BLANK = nd.Field(np.full((64, 64, 3), 240, np.uint8), "YXC", modality="brightfield")


@pytest.fixture(scope="module", params=["affine", "mk"])
def model(request: pytest.FixtureRequest) -> nd.Model:
    return nd.fit(SLIDES, request.param)


def test_every_copy_is_the_image_under_the_look_of_one_of_them(model: nd.Model) -> None:
    looks = [model.attribute(slide) for slide in SLIDES]
    mixed = list(nd.augment(model, SLIDES, LABELS, copies=3, seed=1))
    assert [label for _, label in mixed] == [own for own in LABELS for _ in range(3)]
    for place, (image, _) in enumerate(mixed):
        slide = SLIDES[place // 3]
        swaps = [model.render(slide, look) for look in looks]
        assert image.dtype == slide.dtype
        assert any(np.array_equal(image, swap) for swap in swaps)


def test_looks_are_drawn_from_all_images(model: nd.Model) -> None:
    looks = [model.attribute(slide) for slide in SLIDES]
    mixed = nd.augment(model, SLIDES, range(4), 16, looks, seed=2)
    drawn = {image.tobytes() for image, label in mixed if label == 0}
    assert drawn == {model.render(SLIDES[0], look).tobytes() for look in looks}


def test_known_attributes_give_the_same_and_another_seed_something_else(
    model: nd.Model,
) -> None:
    def epoch(seed: int, looks: list[nd.Attribute] | None) -> bytes:
        mixed = nd.augment(model, SLIDES, LABELS, 2, looks, seed)
        return b"".join(image.tobytes() for image, _ in mixed)

    known = [model.attribute(slide) for slide in SLIDES]
    assert epoch(0, known) == epoch(0, None)
    assert epoch(0, known) != epoch(1, known)


def test_blank_images_come_as_they_are_and_give_no_look(model: nd.Model) -> None:
    images = [BLANK, SLIDES[0], BLANK]
    mixed = list(nd.augment(model, images, [0, 1, 2], copies=2))
    for image, label in mixed:
        expected = SLIDES[0] if label == 1 else BLANK
        np.testing.assert_array_equal(image, expected.data)
    alone = list(nd.augment(model, [BLANK], ["nothing"]))
    np.testing.assert_array_equal(alone[0][0], BLANK.data)


def test_wrong_numbers_are_refused_before_anything_is_computed(model: nd.Model) -> None:
    with pytest.raises(nd.DisentangleError, match="4 images came with 3 labels"):
        nd.augment(model, SLIDES, LABELS[:3])
    with pytest.raises(nd.DisentangleError, match="4 images came with 1 attributes"):
        nd.augment(model, SLIDES, LABELS, attributes=[model.attribute(SLIDES[0])])
    with pytest.raises(ValueError, match="copies must be at least 1"):
        nd.augment(model, SLIDES, LABELS, copies=0)
