"""The samples open as layers with the right arrays, names, credits and known truth."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_disentangle.samples import data as sample_data
from napari_disentangle.samples.data import (
    CHANNELS,
    SAMPLES,
    Batch,
    apply_batch,
    brightfield_pair,
    fluorescence_batches,
    load,
    nuclei_fields,
    nuclei_stack,
    synthetic_pair,
)
from napari_disentangle.samples.synthetic import pair

COMMANDS = [
    brightfield_pair, fluorescence_batches, nuclei_stack, nuclei_fields, synthetic_pair,
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("blood_1", (480, 480, 3), np.uint8),
        ("blood_2", (480, 480, 3), np.uint8),
        ("cells_a", (3, 256, 256), np.uint8),
        ("cells_b", (3, 256, 256), np.uint8),
        ("nuclei", (24, 160, 160), np.uint16),
        ("field_1", (256, 256), np.uint8),
        ("field_4_masks", (256, 256), np.uint8),
    ],
)
def test_bundled_image_keeps_its_shape_and_type(name, shape, dtype):
    image = load(name)
    assert image.shape == shape
    assert image.dtype == dtype
    assert image.max() > image.min()


def test_every_bundled_file_is_credited_and_the_lot_is_small():
    credits_text = (SAMPLES / "CREDITS.md").read_text(encoding="utf-8")
    images = [*SAMPLES.glob("*.png"), *SAMPLES.glob("*.tif")]
    assert len(images) == 13
    for image in images:
        assert f"`{image.name}`" in credits_text
    assert sum(f.stat().st_size for f in SAMPLES.iterdir()) < 2_000_000


@pytest.mark.parametrize("command", COMMANDS)
def test_layers_carry_names_axes_and_credit(command):
    layers = command()
    names = [kwargs["name"] for _, kwargs, _ in layers]
    assert len(set(names)) == len(names)
    for data, kwargs, _ in layers:
        spatial = data.ndim - 1 if kwargs.get("rgb") else data.ndim
        assert kwargs["axis_labels"] == ("z", "y", "x")[-spatial:]
        assert kwargs["metadata"]["credit"]
        assert kwargs["metadata"]["licence"] in {"MIT", "BSD-3-Clause", "CC0-1.0"}


def test_brightfield_images_share_the_biology_but_not_the_look():
    (first, _, _), (second, _, _) = brightfield_pair()
    # Red cells are darker than the slide and, unlike nuclei, not blue.
    red_cells = []
    for image in (first, second):
        r, g, b = np.moveaxis(image.astype(int), -1, 0)
        cell = (g < 170) & (r > b)
        assert cell.mean() > 0.05
        red_cells.append(image[cell].mean(0))
    excess_red = [c[0] - c[2] for c in red_cells]
    assert excess_red[1] - excess_red[0] > 10


def test_wells_differ_by_the_stated_batch_effect():
    layers = {
        kwargs["name"]: (data, kwargs) for data, kwargs, _ in fluorescence_batches()
    }
    assert len(layers) == 6
    for channel, truth_a, truth_b in zip(
        CHANNELS, load("cells_a"), load("cells_b"), strict=True
    ):
        a, kwargs_a = layers[f"well A {channel.name}"]
        b, kwargs_b = layers[f"well B {channel.name} (simulated batch)"]
        np.testing.assert_array_equal(a, truth_a)
        effect = kwargs_b["metadata"]["simulated_batch"]
        undone = (b - effect["offset"]) / effect["gain"]
        np.testing.assert_allclose(undone, truth_b, atol=0.5 / effect["gain"] + 1e-9)
        assert "simulated_batch" not in kwargs_a["metadata"]
        assert kwargs_a["contrast_limits"] == kwargs_b["contrast_limits"]


def test_batch_effect_rounds_and_clips():
    x = np.array([0, 10, 200], np.uint8)
    assert apply_batch(x, Batch(gain=1.5, offset=-5)).tolist() == [0, 10, 255]


def test_dividing_cells_are_positive_in_the_channel_named_for_them():
    dna, ph3, _ = load("cells_a")
    dividing = ph3 > 60
    assert 0 < dividing.mean() < 0.02
    assert dna[dividing].mean() > 5 * np.median(dna)


def test_nuclei_stack_knows_its_voxel_size():
    [(stack, kwargs, kind)] = nuclei_stack()
    assert kind == "image"
    assert stack.ndim == len(kwargs["scale"]) == len(kwargs["units"])
    low, high = kwargs["contrast_limits"]
    assert stack.min() <= low < high <= stack.max()


def test_synthetic_pair_brings_the_planted_anomalies_as_labels():
    (first, _, _), (second, _, _), (labels, _, kind) = synthetic_pair()
    truth = pair()
    np.testing.assert_array_equal(first, truth.first)
    np.testing.assert_array_equal(second, truth.second)
    np.testing.assert_array_equal(labels, truth.anomalies)
    assert kind == "labels"
    assert labels.max() > 0


@pytest.mark.parametrize("command", [brightfield_pair, synthetic_pair])
def test_images_of_a_pair_lie_side_by_side(command):
    (first, left, _), (_, right, _), *_ = command()
    assert left["translate"][1] + first.shape[1] < right["translate"][1]


def test_metadata_of_one_call_does_not_leak_into_the_next():
    brightfield_pair()[0][1]["metadata"]["credit"] = "nobody"
    assert brightfield_pair()[0][1]["metadata"] == sample_data.BLOOD


def test_import_loads_neither_readers_nor_viewer():
    code = (
        "import sys, napari_disentangle.samples.data;"
        "print(*{'imageio', 'tifffile', 'torch', 'napari'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
