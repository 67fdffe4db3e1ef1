"""Results too large for memory, in a real window: seen while they are computed."""

from __future__ import annotations

import gc
import tempfile
from threading import Semaphore
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from skimage.data import immunohistochemistry

import napari_disentangle as nd
from napari_disentangle.compute.lazy import TILE
from napari_disentangle.layers import filed, values

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Semaphore:
    """Lets so many tiles through as it is told to."""
    gate, store = Semaphore(0), filed.Locked.__setitem__

    def wait_and_store(self: Any, key: Any, values: Any) -> None:
        assert gate.acquire(timeout=60)
        store(self, key, values)

    monkeypatch.setattr(filed.Locked, "__setitem__", wait_and_store)
    return gate


@pytest.fixture
def slide(
    desk: Any, gate: Semaphore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A slide whose anomaly map is too large, in 16 tiles."""
    monkeypatch.setattr(values, "EAGER", 2**20)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    edge = 4 * TILE
    tiled = np.tile(immunohistochemistry(), (5, 5, 1))[:edge, :edge]
    desk.viewer.add_image(tiled, rgb=True, name="slide")
    desk.panel.choose_task("odd")
    return desk


def begun(desk: Any) -> Any:
    """Press Run, and wait for the layer."""
    desk.click(desk.panel.run)
    desk.wait(lambda: any("anomaly" in name for name in desk.names))
    assert desk.widget.running
    return desk.layer("anomaly")


def computed(layer: Any) -> Any:
    """Which tiles have values."""
    tiles = np.asarray(layer.data[0]).reshape(4, TILE, 4, TILE)
    return np.abs(tiles).max(axis=(1, 3)) > 0


def test_a_map_is_seen_where_it_is_looked_at(
    slide: Any, gate: Semaphore, tmp_path: Path
) -> None:
    slide.viewer.scene.camera.center = (3.5 * TILE, 0.5 * TILE)
    slide.viewer.scene.camera.zoom = 1
    layer = begun(slide)
    gate.release(6)  # two may have been begun before anybody looked
    slide.wait(lambda: int(computed(slide.layer("anomaly")).sum()) == 6)
    seen = computed(layer)
    assert slide.widget.running
    assert seen[3, 0]
    assert not seen[0, 3]
    gate.release(100)
    slide.wait(lambda: not slide.widget.running)
    assert computed(layer).all()
    assert any("too large to be searched" in line for line in slide.said)
    image = nd.Field.from_layer(slide.layer("slide"))
    recipe = nd.Recipe.from_json(layer.metadata["napari-disentangle"])
    (again,) = (
        one
        for one in nd.follow(recipe, nd.pipeline.inputs.Inputs([image]))
        if hasattr(one, "lazy") and one.kind == "anomaly"
    )
    part = np.s_[TILE - 20 : TILE + 20, :50]
    np.testing.assert_array_equal(layer.data[0][part], np.asarray(again.lazy[part]))
    slide.viewer.layers.remove(layer)
    del layer
    slide.click(slide.panel.undo)
    slide.settle()
    gc.collect()
    assert not list(tmp_path.glob("napari-disentangle-*"))


def test_cancel_leaves_no_half_of_a_map(slide: Any, gate: Semaphore) -> None:
    begun(slide)
    slide.click(slide.panel.cancel)
    gate.release(100)
    slide.wait(lambda: not slide.widget.running)
    assert slide.names == ["slide"]
    assert slide.said[0] == "Cancelled."


def test_a_layer_that_is_removed_is_not_computed_on(
    slide: Any, gate: Semaphore
) -> None:
    layer = begun(slide)
    slide.viewer.layers.remove(layer)
    gate.release(4)
    slide.wait(lambda: int(computed(layer).sum()) >= 2)
    gate.release(100)
    slide.wait(lambda: not slide.widget.running)
    assert not computed(layer).all()
    assert slide.names == ["slide"]
    assert slide.panel.run.isEnabled()


def test_what_a_cancelled_map_hid_is_seen_again(slide: Any, gate: Semaphore) -> None:
    source = slide.layer("slide")
    model = nd.fit(nd.Field.from_layer(source), "meanstd")
    (content,) = nd.add_layers(slide.viewer, model, source, ["content"])
    begun(slide)
    assert not content.visible
    slide.click(slide.panel.cancel)
    gate.release(100)
    slide.wait(lambda: not slide.widget.running)
    assert content.visible
    assert not any("anomaly" in name for name in slide.names)
