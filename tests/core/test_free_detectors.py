"""Detectors without training, on normals whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_disentangle.detector import knn, mahalanobis, pca
from napari_disentangle.image.filters import filtered


def scored(module, features: np.ndarray, normal: np.ndarray, **config) -> np.ndarray:
    """Scores (N,) of feature vectors (F, N) against normal ones."""
    fitted = module.SCORER.fit(normal, module.Config(**config))
    return module.SCORER.score(features, fitted)


def mapped(module, signal: np.ndarray, normal: np.ndarray, **config) -> np.ndarray:
    """Scores (h, w) of a signal (C, h, w) against a normal one."""
    settings = module.Config(**config)
    known = module.SCORER.features(normal, settings)
    fitted = module.SCORER.fit(known.reshape(len(known), -1), settings)
    return module.SCORER.score(module.SCORER.features(signal, settings), fitted)


# --- knn ------------------------------------------------------------------------------
@pytest.fixture
def two_clusters():
    clusters = np.random.default_rng(0).normal(size=(2, 4000))
    clusters[0, ::2] += 8
    clusters[0, 1::2] -= 8
    return clusters.astype(np.float32)


def test_what_lies_between_two_clusters_is_odd_for_knn_only(two_clusters):
    between = np.zeros((2, 1), np.float32)
    typical = scored(knn, two_clusters, two_clusters)
    assert scored(knn, between, two_clusters) > 1.5 * np.quantile(typical, 0.99)
    typical = scored(mahalanobis, two_clusters, two_clusters)
    assert scored(mahalanobis, between, two_clusters) < typical.min()


@pytest.mark.parametrize("bank", [1500, 1470])
def test_the_score_is_the_distance_to_the_nearest(two_clusters, bank):
    """In a bank of all: against differences in float64, without a matrix product."""
    few = two_clusters[:, :bank] + np.float32(100)
    new = two_clusters + np.float32(100.25)
    fitted = knn.SCORER.fit(few, knn.Config(trim=0.0))
    bank = fitted["whiten"] @ (few - fitted["mean"][:, None])
    x = fitted["whiten"] @ (new - fitted["mean"][:, None])
    every = np.sqrt(((x[:, :, None] - bank[:, None]) ** 2).mean(0))
    scores = knn.SCORER.score(new, fitted)
    # of two that are almost as near either may be taken
    np.testing.assert_allclose(scores, every.min(axis=1), atol=5e-5)


def test_what_is_in_the_bank_is_not_odd_at_all(two_clusters):
    few = two_clusters[:, :500]
    assert scored(knn, few, few, trim=0.0).max() == 0


def test_the_bank_is_bounded_and_the_same_every_time(two_clusters):
    config = knn.Config(bank=300)
    one, two = (knn.SCORER.fit(two_clusters, config) for _ in "ab")
    assert one["bank"].shape == (2, 300)
    np.testing.assert_array_equal(one["bank"], two["bank"])


def test_the_farthest_of_the_normals_are_kept_out_of_the_bank(two_clusters):
    odd = np.full((2, 40), 30, np.float32)
    mixed = np.concatenate([two_clusters, odd], axis=1)
    assert scored(knn, odd, mixed, trim=0.02).min() > 1
    assert scored(knn, odd, mixed, trim=0.0, bank=20_000).max() == 0


# --- pca ------------------------------------------------------------------------------
def ramps(seed: int) -> np.ndarray:
    """Patches of 500 ramps (16, 500): all that differs is an offset and two slopes."""
    offset, down, across = np.random.default_rng(seed).normal(size=(3, 500, 1, 1))
    y, x = np.indices((17, 17)) - 8
    signals = (offset + down * y + across * x).astype(np.float32)
    every = [pca.SCORER.features(one[None], pca.Config()) for one in signals]
    return np.stack([features[:, 8, 8] for features in every], axis=1)


def test_a_patch_of_kept_components_leaves_nothing_over():
    fitted = pca.SCORER.fit(ramps(0), pca.Config(keep=0.999))
    assert fitted["left"].shape == (13, 16)
    assert pca.SCORER.score(ramps(1), fitted).max() < 1e-5 * ramps(1).std()


def test_a_patch_without_kept_components_is_left_over_as_a_whole():
    fitted = pca.SCORER.fit(ramps(0), pca.Config(keep=0.999))
    patch = np.outer([1, -1, -1, 1], [1, -1, -1, 1]).reshape(16, 1)
    odd = (fitted["mean"][:, None] + 5 * patch).astype(np.float32)
    np.testing.assert_allclose(pca.SCORER.score(odd, fitted), 5, rtol=1e-3)


@pytest.mark.parametrize("cell", [1, 2, 3])
def test_a_pixel_is_described_by_the_cells_around_it(cell):
    signal = np.random.default_rng(0).normal(size=(2, 40, 40)).astype(np.float32)
    features = pca.SCORER.features(signal, pca.Config(edge=cell))
    patch = signal[:, 20 - 2 * cell : 20 + 2 * cell, 15 - 2 * cell : 15 + 2 * cell]
    means = patch.reshape(2, 4, cell, 4, cell).mean(axis=(2, 4))
    np.testing.assert_allclose(features[:, 20, 15], means.ravel(), atol=1e-6)


def test_most_of_the_variance_counts_as_explained():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(16, 20_000)) * np.linspace(0.1, 3, 16)[:, None]
    for keep in (0.5, 0.9, 0.95):
        left = pca.SCORER.fit(normal.astype(np.float32), pca.Config(keep=keep))["left"]
        share = (left @ normal).var(axis=1).sum() / normal.var(axis=1).sum()
        assert share <= 1 - keep < share + normal.var(axis=1).max()


# --- all ------------------------------------------------------------------------------
def full(seed: int) -> np.ndarray:
    """Tissue without background (1, 128, 128): mean 1, deviation 0.1."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(128, 128)), 3)
    return (1 + 0.1 * noise / noise.std())[None].astype(np.float32)


@pytest.mark.parametrize("module", [knn, mahalanobis, pca])
def test_scores_are_never_negative_and_zero_is_possible(module):
    signal = full(0)
    assert mapped(module, full(1), signal).min() >= 0
    flat = np.zeros_like(signal)
    np.testing.assert_allclose(mapped(module, flat, flat), 0)


@pytest.mark.parametrize(
    ("module", "bad"),
    [
        (knn, {"scale": 0.1}),
        (knn, {"trim": 0.6}),
        (knn, {"bank": 10}),
        (pca, {"edge": 0}),
        (pca, {"keep": 1.0}),
    ],
)
def test_a_setting_out_of_range_is_refused_with_the_range(module, bad):
    with pytest.raises(ValueError, match=rf"{next(iter(bad))} .* must be .* to "):
        module.Config(**bad)


def test_what_is_no_number_spreads_to_no_other_pixel():
    signal = full(0)
    hole = signal.copy()
    hole[0, 5, 5] = np.nan
    assert np.isfinite(filtered(hole, 1.0)).all()
