"""contrimix in a real window: fitted as published, stopped, run, and its slider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.layers import values as layer_values
from napari_disentangle.samples.synthetic import pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ["violet", "rose"]


@pytest.fixture(autouse=True)
def _kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own folder of models is touched."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def tissues(desk: Any) -> Any:
    """Two pictures of tissue, the first to get the look of the second."""
    made = pair(seed=1)
    for name, picture in zip(NAMES, (made.first, made.second), strict=True):
        desk.viewer.add_image(picture, rgb=True, name=name)
    desk.reference(desk.viewer.layers["rose"])
    desk.panel.model.setCurrentText("contrimix")
    return desk


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model in a file."""
    made = pair(seed=1)
    path = tmp_path_factory.mktemp("models") / "published.safetensors"
    images = [nd.Field(picture, "YXC") for picture in (made.first, made.second)]
    nd.fit(images, "contrimix", steps=1).save(path)
    return str(path)


def _choose(desk: Any, **settings: Any) -> None:
    """Choose in the form."""
    for name, value in settings.items():
        desk.panel.form[name].value = value


def _fit(desk: Any, steps: int) -> None:
    section = desk.panel.fitting
    desk.panel.open_fitting()
    desk.wait(lambda: not section.fit.visibleRegion().isEmpty())
    section.steps.setValue(steps)
    desk.click(section.fit)
    assert desk.widget.running


def _points(desk: Any) -> int:
    steps, _ = desk.panel.fitting.curve.swap.getData()
    return 0 if steps is None else len(steps)


def test_fit_stop_and_use_run_and_slide(tissues: Any) -> None:
    _choose(tissues, attributes=5)
    tissues.click_box(tissues.panel.maps)
    _fit(tissues, 2000)
    tissues.wait(lambda: _points(tissues) > 2)
    tissues.click(tissues.panel.fitting.stop)
    tissues.wait(lambda: not tissues.widget.running)
    assert tissues.said == []
    assert "Training did not help" in tissues.panel.fitting.verdict.text()
    assert tissues.panel.model.currentText() == "contrimix"
    tissues.click(tissues.panel.fitting.anyway)
    model = nd.load(tissues.panel.model.chosen)
    assert (model.config.preset, model.config.attributes) == ("published", 5)
    assert 2 < model.weights.card["steps"] < 2000

    tissues.run()
    images = [nd.Field.from_layer(tissues.viewer.layers[name]) for name in NAMES]
    maps = [name for name in tissues.names if "content map" in name]
    assert len(maps) == 5
    for name, values in zip(maps, model.encode(images[0]), strict=True):
        np.testing.assert_allclose(tissues.layer(name).data, values, atol=1e-4)
    swapped = tissues.layer("[swapped]")
    np.testing.assert_array_equal(swapped.data, model.swap(*images))
    for strength in (40, 0):
        tissues.panel.strength.setValue(strength)
        tissues.wait(lambda s=strength: _strength(swapped) == s / 100, 10)
        fresh = model.swap(*images, strength / 100)
        np.testing.assert_array_equal(swapped.data, fresh)


def test_the_slider_of_a_large_swap_does_not_hold_the_window(
    tissues: Any, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks compute in a worker; what was asked for last is what is shown."""
    monkeypatch.setattr(layer_values, "EAGER", 1000)
    tissues.widget.buttons.use_model(published)
    tissues.run()
    swapped = tissues.layer("[swapped]")
    assert swapped.multiscale
    images = [nd.Field.from_layer(tissues.viewer.layers[name]) for name in NAMES]
    for strength in (70, 20, 50):
        tissues.panel.strength.setValue(strength)
        tissues.widget.slider.settle()
    tissues.wait(lambda: _strength(swapped) == 0.5)
    fresh = nd.load(published).swap(*images, 0.5)
    tissues.wait(lambda: np.array_equal(swapped.data[0], fresh))
    tissues.wait(lambda: not tissues.widget.running)
    _cancelled_keeps(tissues, swapped, fresh)


def _cancelled_keeps(tissues: Any, swapped: Any, before: Any) -> None:
    """A strength that is cancelled leaves pixels and provenance as they were."""
    tissues.panel.strength.setValue(10)
    tissues.widget.slider.settle()
    assert tissues.widget.running
    tissues.click(tissues.panel.cancel)
    tissues.wait(lambda: not tissues.widget.running)
    assert tissues.said[0] == "Cancelled: the swap keeps its strength."
    assert _strength(swapped) == 0.5
    np.testing.assert_array_equal(swapped.data[0], before)
    tissues.click(tissues.panel.undo)
    assert tissues.names == NAMES


def _strength(layer: Any) -> float:
    return float(layer.metadata["napari-disentangle"]["recipe"]["strength"])


def test_run_before_fit_is_one_sentence(tissues: Any) -> None:
    tissues.run()
    assert any("has not learned anything yet: fit it" in text for text in tissues.said)
    assert tissues.names == NAMES


def test_settings_of_the_form_are_in_the_recipe(tissues: Any) -> None:
    import json

    from qtpy.QtWidgets import QApplication

    _choose(tissues, down=4, statistics="frozen")
    tissues.click(tissues.panel.copy_recipe)
    recipe = nd.Recipe.from_json(json.loads(QApplication.clipboard().text()))
    known = {"down": 4, "statistics": "frozen"}
    assert known.items() <= recipe.config.items()


@pytest.mark.slow
def test_cancel_while_a_large_image_is_measured(desk: Any, published: str) -> None:
    light = np.linspace(0.4, 1, 2048)[:, None, None]
    large = np.tile(pair(seed=1).first, (8, 8, 1)) * light
    desk.viewer.add_image(large.astype("uint8"), rgb=True, name="large")
    desk.panel.choose_task("odd")
    desk.widget.buttons.use_model(published)
    desk.click(desk.panel.run)
    worker = desk.widget._worker
    desk.wait(lambda: "measuring large" in desk.panel.progress.format())
    desk.click(desk.panel.cancel)
    assert desk.wait(lambda: not desk.widget.running, 20) < desk.second
    assert not worker.is_running
    assert desk.names == ["large"]
    assert desk.panel.run.isEnabled()


@pytest.mark.slow
def test_cancel_at_the_end_of_a_fit_on_a_large_image(desk: Any) -> None:
    """Whole images are measured then, which can take longer than a step."""
    large = np.tile(pair(seed=1).first, (8, 8, 1))
    desk.viewer.add_image(large, rgb=True, name="large")
    desk.panel.model.setCurrentText("contrimix")
    _fit(desk, 1)
    desk.wait(lambda: "measuring large" in desk.panel.progress.format())
    desk.click(desk.panel.cancel)
    assert desk.wait(lambda: not desk.widget.running, 20) < desk.second
    assert "thrown away" in desk.panel.fitting.verdict.text()
    assert desk.panel.model.currentText() == "contrimix"
