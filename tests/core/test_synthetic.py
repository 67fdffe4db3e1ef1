"""The synthetic tissue keeps its word: known content, known look, known anomalies."""

from __future__ import annotations

import numpy as np
import pytest

from napari_disentangle.samples.synthetic import (
    ANOMALY_RADIUS,
    ROSE,
    VIOLET,
    Look,
    pair,
    plant,
    render,
    tissue,
)


def test_render_of_known_concentrations_gives_known_grey_values():
    look = Look(
        stains=((1.0, 0.0, 0.0), (0.0, 0.5, 0.0)), amounts=(1.0, 2.0), white=(0, 0, 0.3)
    )
    content = np.array([[[0.0, 1.0]], [[0.0, 0.3]]], np.float32)
    expected = [[[255, 255, 128], [26, 128, 128]]]
    np.testing.assert_array_equal(render(content, look), expected)


@pytest.mark.parametrize("look", [VIOLET, ROSE])
def test_concentrations_come_back_from_a_noise_free_render(look):
    content = tissue(3, 96)
    absorbance = -np.log10(render(content, look) / 255) - look.white
    strength = np.array(look.amounts)[:, None] * look.stains
    back = np.moveaxis(absorbance @ np.linalg.pinv(strength), -1, 0)
    bright = render(content, look).min(-1) > 60
    assert bright.mean() > 0.5
    np.testing.assert_allclose(back[:, bright], content[:, bright], atol=0.06)


def test_tissue_has_nuclei_fibres_and_empty_slide():
    nuclear, matrix = tissue(0, 256)
    empty = (nuclear < 0.05) & (matrix < 0.05)
    assert 0.02 < empty.mean() < 0.6
    assert 0.1 < (nuclear > 0.5).mean() < 0.6
    assert nuclear.min() >= 0
    assert matrix[(nuclear < 0.1) & ~empty].mean() > matrix[nuclear > 0.5].mean()


def test_content_is_float32_with_one_map_per_stain():
    content = tissue(0, 64)
    assert content.shape == (2, 64, 64)
    assert content.dtype == np.float32


def test_content_differs_exactly_where_anomalies_are_planted():
    content = tissue(1, 192)
    before = content.copy()
    planted, labels = plant(content, seed=5, n=4)
    np.testing.assert_array_equal(content, before)
    np.testing.assert_array_equal((planted != content).any(0), labels > 0)
    assert np.unique(labels).tolist() == [0, 1, 2, 3, 4]


def test_anomalies_hold_the_stain_they_replace():
    content = tissue(1, 192)
    planted, labels = plant(content, seed=5, n=4)
    for label in range(1, 5):
        inside = labels == label
        assert inside.sum() == pytest.approx(np.pi * ANOMALY_RADIUS**2, rel=0.05)
        assert planted[0][inside].sum() == pytest.approx(
            content[0][inside].sum(), rel=1e-4
        )
        np.testing.assert_array_equal(planted[1][inside], content[1][inside])


def test_too_many_anomalies_are_refused():
    with pytest.raises(ValueError, match="room for"):
        plant(tissue(0, 128), seed=0, n=50)


def test_noise_has_the_stated_size_and_no_bias():
    content = np.full((2, 200, 200), 0.3, np.float32)
    clean = render(content, VIOLET).astype(float)
    residual = render(content, VIOLET, noise=4.0, seed=1) - clean
    assert residual.std() == pytest.approx(4.0, rel=0.03)
    assert residual.mean() == pytest.approx(0.0, abs=0.3)


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    one, again, other = pair(7, 128), pair(7, 128), pair(8, 128)
    assert one.first.tobytes() == again.first.tobytes()
    assert one.second.tobytes() == again.second.tobytes()
    assert one.anomalies.tobytes() == again.anomalies.tobytes()
    assert one.first.tobytes() != other.first.tobytes()


def test_pair_is_made_of_its_own_truth():
    made = pair(2, 128, noise=0)
    np.testing.assert_array_equal(
        made.first, render(made.content_first, made.look_first)
    )
    np.testing.assert_array_equal(
        made.second, render(made.content_second, made.look_second)
    )
    assert made.look_first != made.look_second
    assert made.anomalies.max() == 3


@pytest.mark.parametrize("seed", range(5))
def test_looks_differ_more_than_contents_in_mean_colour(seed):
    made = pair(seed, 128, noise=0)
    look = render(made.content_first, made.look_second).mean((0, 1))
    by_look = np.abs(made.first.mean((0, 1)) - look).max()
    by_content = np.abs(made.second.mean((0, 1)) - look).max()
    assert by_look > by_content
