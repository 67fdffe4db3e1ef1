"""What is hidden is predicted from what is not, well, and the same every time."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import napari_disentangle as nd
from napari_disentangle.detector.autopaint import Config as AutoPaint
from napari_disentangle.detector.context import Config as Context
from napari_disentangle.detector.masked import attenuation, prediction
from napari_disentangle.detector.masked.attenuator import Attenuated
from napari_disentangle.detector.masked.corruption import corrupt, photographed
from napari_disentangle.detector.masked.holes import draw, grid, spread
from napari_disentangle.detector.masked.net import Plan, Predictor
from napari_disentangle.detector.registry import DETECTORS
from napari_disentangle.errors import DataError

# The quickest of them in every run, the others with --full.
LEARNERS = [
    pytest.param(name, marks=[pytest.mark.slow] * (name != "context"))
    for name, own in DETECTORS.items()
    if own.expects
]
POLICIES = {
    "context": Context().policy,
    "autopaint": AutoPaint().policy,
    "odd cells": grid(5, 2),
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def texture(seed: int, channels: int = 1, size: int = 32) -> np.ndarray:
    """Smooth noise."""
    noise = np.random.default_rng(seed).normal(size=(channels, size, size))
    smooth = gaussian_filter(noise, (0, 4, 4))
    return (100 + 20 * smooth / smooth.std()).astype(np.float32)


def last(steps):
    *_, end = steps
    return end


@cache
def trained(channels: int, steps: int = 4):
    tiles = [texture(seed, channels) for seed in range(6)]
    return last(prediction.learn(tiles, steps, 0))


def learned_by(name: str, tiles, steps: int = 2, seed: int = 0):
    own = DETECTORS[name]
    return last(own.learn(tiles, own.config(steps=steps), seed))


# --- what is hidden stays hidden ----------------------------------------------------
@pytest.mark.parametrize("name", POLICIES)
def test_every_pixel_is_hidden_once_per_round(name):
    for masks in POLICIES[name]:
        assert (masks.sum(axis=0) == 1).all()
        period = masks.shape[-1]
        whole = spread(masks, (3 * period + 1, period + 2))
        assert whole.shape[1:] == (3 * period + 1, period + 2)
        np.testing.assert_array_equal(whole[:, period : 2 * period, :period], masks)


@pytest.mark.parametrize("value", [1e30, -7.0, np.nan, np.inf])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", POLICIES)
def test_a_hidden_pixel_does_not_tell_of_itself(name, channels, value):
    """Whatever is put where one mask hides: what is predicted there stays as it is."""
    learned, signal = trained(channels), texture(9, channels)
    policy = POLICIES[name]
    before = prediction.predict(signal, learned, policy).expected
    mask = spread(policy[-1], signal.shape[1:])[1]
    other = np.where(mask, np.float32(value), signal)
    after = prediction.predict(other, learned, policy).expected
    assert after[-1][:, mask].tobytes() == before[-1][:, mask].tobytes()
    if np.isfinite(value):
        assert (after[-1][:, ~mask] != before[-1][:, ~mask]).any()


def test_what_is_never_looked_at_tells_nothing_at_all():
    learned, signal = trained(1), texture(9)
    hide = np.zeros((32, 32), bool)
    hide[10:20, 16:29] = True
    other = np.where(hide, np.float32(1e6), signal)
    one, two = (prediction.predict(x, learned, grid(6), hide) for x in (signal, other))
    assert one.expected.tobytes() == two.expected.tobytes()


@pytest.mark.parametrize(("ndim", "channels"), [(2, 1), (2, 3), (3, 1), (3, 2)])
def test_the_network_sees_no_hidden_value(ndim, channels):
    torch.manual_seed(0)
    net = Predictor(Plan(channels, ndim, (4, 6, 8))).eval()
    size = (8, 16, 20)[-ndim:]
    signal = torch.randn(2, channels, *size)
    hidden = torch.rand(2, 1, *size) < 0.3
    for own in (net, Attenuated(net)):
        with torch.inference_mode():
            one = own(signal, hidden)
            two = own(torch.where(hidden, torch.nan, signal), hidden)
        for a, b in zip(one, two, strict=True):
            assert a.shape == signal.shape
            assert torch.equal(a, b)
        assert (one[1] > 0).all()


def test_holes_to_train_with_hide_something_and_not_all():
    masks = draw(64, 48, np.random.default_rng(0))
    shares = masks.mean(axis=(1, 2))
    assert 0.01 < shares.min() < shares.max() < 0.9


# --- what is learned ----------------------------------------------------------------
@pytest.mark.slow
def test_waves_are_predicted():
    """The mean alone would leave the whole standard deviation; measured: 0.29."""
    y, x = np.mgrid[:32, :32] * (2 * np.pi / 16)

    def waves(phase):
        values = 100 + 20 * (np.sin(y + phase) + np.sin(x + 2 * phase))
        return values[None].astype(np.float32)

    tiles = [waves(phase) for phase in range(8)]
    learned = last(prediction.learn(tiles, 150, 0))
    signal = waves(0.5)
    found = prediction.predict(signal, learned, grid(6)).mean
    error = np.sqrt(((found - signal) ** 2).mean())
    assert error < 0.4 * signal.std()


def test_cameras_add_noise_and_blur_and_nothing_else():
    rng = np.random.default_rng(0)
    crops = np.stack([texture(seed) for seed in range(8)]).astype(np.float32) / 20 - 5
    seen = photographed(crops, rng)
    assert seen.shape == crops.shape
    assert seen.dtype == np.float32
    change = seen - crops
    np.testing.assert_allclose(change.mean(axis=(1, 2, 3)), 0, atol=0.05)
    assert 0 < np.median(change.std(axis=(1, 2, 3))) < 0.5
    flat = photographed(np.zeros((8, 1, 16, 16), np.float32), rng)
    assert flat.std(axis=(1, 2, 3)).max() < 0.6


@pytest.mark.parametrize("name", LEARNERS)
def test_same_seed_same_bytes(name):
    tiles = [texture(seed) for seed in range(4)]
    one, again, other = (learned_by(name, tiles, seed=seed) for seed in (0, 0, 1))
    assert one.keys() == again.keys()
    assert all(one[key].tobytes() == again[key].tobytes() for key in one)
    assert one["out.weight"].tobytes() != other["out.weight"].tobytes()


@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_no_number_is_never_learned_from(name):
    known = np.random.default_rng(0).random((1, 32, 32)) < 0.8
    tiles = [np.where(known, texture(seed), np.float32(np.nan)) for seed in range(4)]
    infinite = [np.where(known, tile, np.float32(np.inf)) for tile in tiles]
    first, second = learned_by(name, tiles), learned_by(name, infinite)
    assert all(first[key].tobytes() == second[key].tobytes() for key in first)
    assert all(np.isfinite(value).all() for value in first.values())


@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_not_marked_is_never_learned_from(name):
    """Whatever it looks like: the tensors are the same."""
    where = np.zeros((96, 96), bool)
    where[20:90, 10:60] = True
    image = nd.Field(texture(0, size=96)[0], "YX", where=where)
    other = replace(image, data=np.where(where, image.data, np.float32(1e4)))
    on = nd.fit(image, "identity")
    config = {"steps": 1} | ({"offsets": 1} if name == "autopaint" else {})
    one, two = (
        nd.fit_detector(x, name, on, **config).view.learned for x in (image, other)
    )
    assert all(one[key].tobytes() == two[key].tobytes() for key in one)


@pytest.mark.parametrize("name", LEARNERS)
def test_tiles_that_the_border_cuts_off_are_left_out(name):
    tiles = [texture(seed) for seed in range(4)]
    one, other = (learned_by(name, t) for t in (tiles, [*tiles, texture(9)[:, :, :8]]))
    assert one["out.weight"].tobytes() == other["out.weight"].tobytes()


@pytest.mark.parametrize("name", LEARNERS)
def test_learning_tells_how_far_it_is_and_can_be_closed(name):
    own, tiles = DETECTORS[name], [texture(0)]
    *shares, _ = own.learn(tiles, own.config(steps=5), 0)
    assert shares == sorted(shares)
    assert 0 < next(filter(None, shares)) < shares[-1] <= 1
    with closing(own.learn(tiles, own.config(steps=20_000), 0)) as steps:
        assert 0 < next(filter(None, steps)) < 0.001


@pytest.mark.parametrize("name", LEARNERS)
def test_small_normals_are_refused(name):
    with pytest.raises(DataError, match="12 pixels are too small to learn from"):
        learned_by(name, [texture(0, size=8), texture(1, size=15)])


@pytest.mark.parametrize("name", LEARNERS)
def test_normals_without_a_number_are_refused(name):
    with pytest.raises(DataError, match="no normal pixel"):
        learned_by(name, [np.full((1, 32, 32), np.nan, np.float32)])


# --- fader --------------------------------------------------------------------------
def test_gates_begin_open():
    torch.manual_seed(0)
    net = Predictor(Plan(1, 2, (4, 6, 8))).eval()
    signal, hidden = torch.randn(1, 1, 16, 16), torch.rand(1, 1, 16, 16) < 0.3
    expected, _, weights = Attenuated(net).gated(signal, hidden)
    for weight in weights:
        torch.testing.assert_close(weight, torch.full_like(weight, 0.982014))
    before, _ = net(signal, hidden)
    assert (expected - before).abs().max() < 0.05 * before.std()


def test_the_predictor_is_left_as_it_is_and_gates_are_used_if_they_help(monkeypatch):
    tiles = [texture(seed) for seed in range(8)]
    own = learned_by("context", tiles, 5)
    found = {}
    for limit in (np.inf, -np.inf):
        monkeypatch.setattr(attenuation, "_RISE", limit)
        better = iter((0.5, 0.6))
        monkeypatch.setattr(attenuation, "_auroc", lambda *_, b=better: next(b))
        found[limit] = learned_by("fader", tiles, 5)
    used, refused = found[np.inf], found[-np.inf]
    assert (int(used["attenuated"]), int(refused["attenuated"])) == (1, 0)
    for key, value in own.items():
        assert value.tobytes() == used[key].tobytes() == refused[key].tobytes()
    assert not any(key.startswith("gates.") for key in refused)
    policy, signal = Context().policy, texture(30)
    state = torch.get_rng_state()
    plain, gated, without = (
        prediction.predict(signal, learned, policy, build=build).expected
        for learned, build in (
            (own, None),
            (used, attenuation.attenuated),
            (refused, attenuation.attenuated),
        )
    )
    assert plain.tobytes() == without.tobytes() != gated.tobytes()
    assert torch.equal(torch.get_rng_state(), state)


def test_corruptions_change_what_they_say():
    rng = np.random.default_rng(0)
    shares = []
    for seed in range(40):
        one, other = ((texture(s) - 100) / 20 for s in (seed, seed + 100))
        changed, odd = corrupt(one, other, rng)
        assert changed.dtype == np.float32
        assert np.abs((changed - one)[:, ~odd]).max() <= 0.25
        shares.append(odd.mean())
    assert 0.01 < np.mean(shares) < 0.3
