"""The floor of `affine`: what holds of a swap by classes whatever the classes are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import napari_disentangle as nd
from napari_disentangle import audit
from napari_disentangle.errors import DataError
from napari_disentangle.model.affine.palette import (
    Palette,
    Rule,
    between,
    correction,
    held,
    palette,
)
from napari_disentangle.model.attribute import average, pooled
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from napari_disentangle.model.attribute import Attribute

CLASSES = 6
NOTHING = torch.zeros(1, 3, 3, dtype=torch.float64), torch.zeros(1, 3).double()


def drawn(seed: int) -> Palette:
    """A palette as images have it: a light background, and colours beyond it."""
    rng = np.random.default_rng(seed)
    low, log_range = rng.uniform(0, 0.1, 3), np.log(rng.uniform(0.2, 1.2, 3))
    ends = np.concatenate([low, log_range])
    colours = rng.uniform(0, 1.2, (CLASSES, 3))
    masses = rng.dirichlet(np.ones(CLASSES))
    return Palette(*(torch.from_numpy(v[None]) for v in (ends, colours, masses)))


def rule(seed: int) -> Rule:
    rng = np.random.default_rng(seed)
    trust = torch.from_numpy(np.exp(rng.normal(0, 1, CLASSES)))
    ridge, far = torch.tensor([0.02, 0.03]).double(), torch.tensor(0.2).double()
    return Rule(trust, ridge, far, rounds=8)


def swap(source: Palette, target: Palette, how: Rule) -> tuple[Any, Any]:
    return between(source, target, correction(source, target, how))


seeds = st.integers(0, 2**31)


@given(seeds)
def test_the_same_palette_is_the_identity_exactly(seed: int) -> None:
    own = drawn(seed)
    matrix, offset = swap(own, own, rule(seed))
    assert torch.equal(matrix[0], torch.eye(3).double())
    assert not offset.any()


@given(seeds)
def test_no_class_in_common_is_the_closed_form_exactly(seed: int) -> None:
    source, target = drawn(seed), drawn(seed + 1)
    first = torch.arange(CLASSES) < CLASSES // 2
    source = replace(source, masses=source.masses * first)
    target = replace(target, masses=target.masses * ~first)
    found = swap(source, target, rule(seed))
    prior = between(source, target, NOTHING)
    assert all(torch.equal(a, b) for a, b in zip(found, prior, strict=True))


@given(seeds, st.floats(0.01, 100))
def test_the_size_of_an_image_changes_nothing(seed: int, times: float) -> None:
    rng = np.random.default_rng(seed)
    classes = torch.from_numpy(rng.dirichlet(np.ones(CLASSES), (1, 8, 8))).movedim(3, 1)
    signal = torch.from_numpy(rng.uniform(0, 1, (1, 3, 8, 8)))
    ends = drawn(seed).ends
    one, other = (
        palette(ends, classes, signal),
        palette(ends, classes * times, signal),
    )
    torch.testing.assert_close(one.masses, other.masses, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(one.colours, other.colours, rtol=1e-6, atol=1e-9)


@given(seeds)
def test_the_order_of_classes_means_nothing(seed: int) -> None:
    source, target, how = drawn(seed), drawn(seed + 1), rule(seed)
    order = np.random.default_rng(seed).permutation(CLASSES)

    def mixed(one: Palette) -> Palette:
        return Palette(one.ends, one.colours[:, order], one.masses[:, order])

    found = swap(source, target, how)
    again = swap(mixed(source), mixed(target), replace(how, trust=how.trust[order]))
    for a, b in zip(found, again, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


@given(seeds, st.floats(0.1, 100))
def test_every_map_can_be_undone(seed: int, far: float) -> None:
    """Also where colours are torn apart: no colour is stretched more than six-fold."""
    source, target = drawn(seed), drawn(seed + 1)
    target = replace(target, colours=target.colours * far)
    matrix, _ = correction(source, target, rule(seed))
    stretched = torch.linalg.svdvals(held(matrix) + torch.eye(3).double())
    assert stretched.min() >= 1 / 6 - 1e-9
    assert stretched.max() <= 6 + 1e-9


def looks(model: Any, count: int) -> list[Attribute]:
    kinds = (synthetic.VIOLET, synthetic.ROSE)
    pictures = (
        synthetic.render(synthetic.tissue(i, 96), kinds[i % 2], 1.0, i)
        for i in range(count)
    )
    return [model.attribute(nd.Field(picture, "YXC")) for picture in pictures]


@pytest.fixture(scope="module")
def model() -> Any:
    picture = synthetic.render(synthetic.tissue(9, 96), synthetic.ROSE, 1.0, 9)
    return nd.fit(nd.Field(picture, "YXC"), "affine")


def test_images_are_pooled_in_any_order(model: Any) -> None:
    found = {
        average(some).values.tobytes() for some in permutations(looks(model, 4), 4)
    }
    assert len(found) == 1


def test_colours_are_pooled_by_what_they_fill() -> None:
    names = ("R of class 1", "G of class 1", "share of class 1", "background R")
    rows = np.array([[1.0, 4.0, 0.3, 2.0], [5.0, 8.0, 0.1, 4.0], [np.nan] * 4])
    np.testing.assert_allclose(pooled(rows, names), [2.0, 5.0, 0.2, 3.0])
    nowhere = rows * [1, 1, 0, 1]
    np.testing.assert_allclose(pooled(nowhere, names), [3.0, 6.0, 0.0, 3.0])


def test_shares_sum_to_one_and_colours_to_the_mean(model: Any) -> None:
    (look, *_) = looks(model, 1)
    known = dict(zip(look.names, look.values, strict=True))
    shares = {k[9:]: v for k, v in known.items() if k.startswith("share of ")}
    np.testing.assert_allclose(sum(shares.values()), 2, rtol=1e-6)  # of both readings
    shares = {k: v for k, v in shares.items() if not k.endswith("of all pixels")}
    picture = synthetic.render(synthetic.tissue(0, 96), synthetic.VIOLET, 1.0, 0)
    light = picture[:96, :96].astype(float) + 1
    absorbance = -np.log10(light / 256).reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
    for i, channel in enumerate("RGB"):
        mean = sum(share * known[f"{channel} of {k}"] for k, share in shares.items())
        np.testing.assert_allclose(mean, absorbance[..., i].mean(), rtol=0.02)


def test_a_palette_shows_what_a_swap_does(model: Any) -> None:
    pictures = [
        synthetic.render(synthetic.tissue(i, 96), look, 1.0, i)
        for i, look in enumerate((synthetic.VIOLET, synthetic.ROSE))
    ]
    image, other = (nd.Field(p, "YXC") for p in pictures)
    look, donor = model.attribute(image), model.attribute(other)
    before, theirs, after = audit.palettes(model, look, donor)
    assert np.all(np.diff(before.rgb.sum(axis=1)) < 0.2)
    np.testing.assert_allclose([r.shares.sum() for r in (before, theirs)], 1, rtol=1e-6)
    apart = [
        np.average(abs(r.rgb - theirs.rgb), 0, theirs.shares) for r in (before, after)
    ]
    assert apart[1].sum() < apart[0].sum()
    drawn = audit.picture((before, theirs, after), width=100)
    assert drawn.shape == (3 * 40 + 2 * 6, 100, 3)
    np.testing.assert_allclose(drawn[0, 0], 255 * before.rgb[0], atol=1)


def test_other_models_have_no_palette() -> None:
    field = nd.Field(synthetic.render(synthetic.tissue(0, 96), synthetic.ROSE), "YXC")
    plain = nd.fit(field, "mk")
    with pytest.raises(DataError, match="have a palette, but these are of 'mk'"):
        audit.palettes(plain, plain.reference, plain.reference)


# --- few cells on an empty slide ------------------------------------------------------
def cells(seed: int, radius: int, tint: tuple[float, ...]) -> np.ndarray:
    """Red cells, and one nucleus, which is far from them: absorbance times a tint."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:224, :224]
    amounts = np.full((224, 224, 3), 0.04)
    for _ in range(25):
        at = np.hypot(y - rng.integers(224), x - rng.integers(224))
        amounts[at < 13] = (0.08, 0.22, 0.18)
    amounts[np.hypot(y - 112, x - 112) < radius] = (0.75, 0.95, 0.35)
    amounts += rng.normal(0, 0.01, amounts.shape)
    return np.clip(256 * 10 ** (-amounts * tint) - 1, 0, 255).astype(np.uint8)


PLAIN, OTHER = (1.0, 1.0, 1.0), (1.3, 0.8, 1.2)


@pytest.mark.parametrize(("own", "other"), [(20, 21), (20, 34), (34, 20)])
def test_a_lone_nucleus_is_no_outlier_where_both_have_one(own: int, other: int) -> None:
    """Of 2.5 % of the pixels it is left out, of 7 % it is not."""
    image = nd.Field(cells(1, own, PLAIN), "YXC")
    donor = nd.Field(cells(2, other, OTHER), "YXC")
    truth = cells(1, own, OTHER).astype(int)
    made = nd.fit([image, donor], "affine").swap(image, donor).astype(int)
    assert np.abs(made - truth).mean() < 1


@pytest.mark.parametrize("share", [0.004, 0.02])
def test_few_cells_on_an_empty_slide_have_a_look(share: float) -> None:
    """Also where they fill less than the last percent."""
    y, x = np.mgrid[:384, :384]
    few = np.full((384, 384, 3), (231.0, 229, 233))
    radius = (share * 384**2 / 4 / np.pi) ** 0.5
    for at in ((90, 80), (100, 300), (290, 90), (280, 310)):
        few[np.hypot(y - at[0], x - at[1]) < radius] = (160, 96, 160)
    few = np.clip(few + np.random.default_rng(0).normal(0, 2, few.shape), 0, 255)
    image = nd.Field(few.astype(np.uint8), "YXC")
    donor = nd.Field(synthetic.render(synthetic.tissue(4, 256), synthetic.ROSE), "YXC")
    model = nd.fit([image, donor], "affine")
    made = model.swap(image, donor).astype(float)
    bright = np.percentile(donor.data, 95, axis=(0, 1))
    assert np.abs(np.median(made, axis=(0, 1)) - bright).max() < 25
    assert 40 < made[90, 80].mean() < 190
    back = model.swap(donor, image).astype(float)
    spread = back.std(axis=(0, 1)) / donor.data.std(axis=(0, 1))
    assert spread.min() > 0.3


def test_nothing_jumps_while_the_strength_changes() -> None:
    image = nd.Field(cells(1, 20, PLAIN), "YXC")
    donor = nd.Field(cells(2, 30, OTHER), "YXC")
    model = nd.fit([image, donor], "affine")
    own, look = model.attribute(image), model.attribute(donor)
    strengths = np.linspace(0, 1, 41)
    shown = [
        model.render(image, own.mix(look, s), own).astype(float) for s in strengths
    ]
    steps = [np.abs(b - a).mean() for a, b in pairwise(shown)]
    assert max(steps) < 4 * np.median(steps)
