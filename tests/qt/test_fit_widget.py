"""Fitting in a real window: the curve, the preview, what is kept, and the warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.samples.synthetic import pair

NAMES = ["violet", "rose"]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where fitted models are kept; nobody's own folder is touched."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def tissues(desk: Any) -> Any:
    """Two pictures of tissue, the first to get the look of the second."""
    made = pair(seed=1, size=128)
    for name, picture in zip(NAMES, (made.first, made.second), strict=True):
        desk.viewer.add_image(picture, rgb=True, name=name)
    desk.reference(desk.viewer.layers["rose"])
    return desk


def _begin(desk: Any, steps: int) -> None:
    """Press Fit."""
    section = desk.panel.fitting
    desk.panel.open_fitting()
    desk.wait(lambda: not section.fit.visibleRegion().isEmpty())
    section.steps.setValue(steps)
    desk.click(section.fit)
    assert desk.widget.running


def _fit(desk: Any, steps: int = 6) -> Path:
    """Press Fit and wait for the end; the file of the model that is then chosen."""
    _begin(desk, steps)
    desk.wait(lambda: not desk.widget.running)
    return Path(desk.panel.model.chosen)


def _models(desk: Any) -> list[str]:
    return [desk.panel.model.itemText(i) for i in range(desk.panel.model.count())]


def _points(desk: Any) -> int:
    steps, _ = desk.panel.fitting.curve.swap.getData()
    return 0 if steps is None else len(steps)


def _shown(label: Any) -> np.ndarray:
    """Grey values of a picture in the dock."""
    image = label.pixmap().toImage()
    colours = [
        image.pixelColor(x, y).getRgb()[:3]
        for y in range(0, image.height(), 8)
        for x in range(0, image.width(), 8)
    ]
    return np.array(colours, float)


def _fitting_in_the_middle(desk: Any) -> Any:
    _begin(desk, 2000)
    desk.wait(lambda: _points(desk) > 2)
    return desk


def test_fit_shows_a_curve_and_gives_a_model_that_run_uses(
    tissues: Any, kept: Path
) -> None:
    assert "violet, rose" in tissues.panel.fitting.plan.text()
    path = _fit(tissues, 25)
    section = tissues.panel.fitting
    assert _points(tissues) == 25
    assert "enough" in section.verdict.text().lower()
    assert "held-out tiles" in section.verdict.text()
    losses = dict(nd.load(path).weights.card["losses"])
    held_out, _ = losses.pop("held out"), losses.pop("swap")
    assert section.curve.held_out.getData()[1][-1] == pytest.approx(held_out, abs=1e-3)
    assert section.curve.rival.value() == pytest.approx(max(losses.values()), abs=1e-3)
    assert tissues.panel.model.currentText() == "fitted 1"
    assert "violet, rose" in tissues.panel.description.text()
    assert kept in path.parents

    tissues.run()
    record = tissues.layer("[swapped]").metadata["napari-disentangle"]
    assert record["recipe"]["model"] == str(path)
    assert record["recipe"]["donor"]["model_hash"] == nd.load(path).hash
    images = [nd.Field.from_layer(tissues.viewer.layers[name]) for name in NAMES]
    same = nd.load(path).swap(*images)
    np.testing.assert_array_equal(tissues.layer("[swapped]").data, same)


def test_time_left_is_said(tissues: Any) -> None:
    _begin(tissues, 60)
    tissues.wait(lambda: "s left" in tissues.panel.progress.format())
    assert "fitting, step" in tissues.panel.progress.format()
    tissues.click(tissues.panel.cancel)


@pytest.mark.slow
def test_preview_moves_towards_the_donor(tissues: Any) -> None:
    _begin(tissues, 30)
    section = tissues.panel.fitting
    tissues.wait(lambda: not section.after.pixmap().isNull())
    before, after = _shown(section.before), _shown(section.after)
    first = section.after.pixmap().cacheKey()
    donor = tissues.viewer.layers["rose"].data.reshape(-1, 3).mean(axis=0)
    off = [np.abs(seen.mean(axis=0) - donor).mean() for seen in (before, after)]
    assert off[1] < 0.5 * off[0]
    tissues.wait(lambda: not tissues.widget.running)
    assert section.after.pixmap().cacheKey() != first
    assert tissues.names == NAMES


@pytest.mark.slow
def test_preview_is_of_the_place_in_the_middle_of_the_view(desk: Any) -> None:
    made = pair(seed=1).first
    white = np.full((512, 512, 3), 255, np.uint8)
    white[:256, :256] = made
    desk.viewer.add_image(white, rgb=True, name="corner")
    desk.viewer.scene.camera.center = (0, 400, 400)
    _begin(desk, 2000)
    section = desk.panel.fitting
    desk.wait(lambda: not section.before.pixmap().isNull())
    assert _shown(section.before).min() == 255
    desk.click(desk.panel.cancel)


def test_stop_and_use_gives_a_working_model(tissues: Any) -> None:
    _fitting_in_the_middle(tissues)
    tissues.click(tissues.panel.fitting.stop)
    tissues.wait(lambda: not tissues.widget.running)
    model = nd.load(tissues.panel.model.chosen)
    assert 2 < model.weights.card["steps"] < 2000
    tissues.run()
    assert len(tissues.viewer.layers) == 3


def test_cancel_throws_the_model_away_within_a_second(tissues: Any, kept: Path) -> None:
    before = _models(tissues)
    worker = _fitting_in_the_middle(tissues).widget._worker
    tissues.click(tissues.panel.cancel)
    assert tissues.wait(lambda: not tissues.widget.running, 5) < tissues.second
    assert not worker.is_running
    assert tissues.panel.fitting.fit.isEnabled()
    assert tissues.panel.run.isEnabled()
    assert _models(tissues) == before
    assert not list(kept.rglob("*.safetensors"))
    assert "thrown away" in tissues.panel.fitting.verdict.text()


def test_cancel_while_the_images_are_looked_at(tissues: Any) -> None:
    before = _models(tissues)
    _begin(tissues, 2000)
    tissues.wait(lambda: "looking" in tissues.panel.progress.format())
    tissues.click(tissues.panel.cancel)
    assert tissues.wait(lambda: not tissues.widget.running, 5) < tissues.second
    assert _models(tissues) == before
    assert _points(tissues) == 0
    tissues.run()
    assert len(tissues.viewer.layers) == 3


def test_dock_closed_in_the_middle_of_a_fit(tissues: Any) -> None:
    worker = _fitting_in_the_middle(tissues).widget._worker
    tissues.viewer.window.remove_dock_widget(tissues.widget)
    assert tissues.wait(lambda: not worker.is_running, 5) < tissues.second
    tissues.viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="after")
    tissues.settle()
    assert tissues.names == [*NAMES, "after"]


def test_viewer_closed_in_the_middle_of_a_fit(tissues: Any) -> None:
    worker = _fitting_in_the_middle(tissues).widget._worker
    tissues.viewer.close()
    tissues.wait(lambda: not worker.is_running, 5)


@pytest.mark.slow
def test_fitting_again_goes_on_from_the_chosen_model(tissues: Any) -> None:
    first = nd.load(_fit(tissues)).weights
    assert "goes on from fitted 1" in tissues.panel.fitting.plan.text()
    second = nd.load(_fit(tissues, 7)).weights
    assert second.card["budget"] == 7
    assert second.card["began as"] == first.hash


@pytest.mark.slow
def test_same_seed_same_model(tissues: Any) -> None:
    first = _fit(tissues)
    tissues.panel.model.setCurrentText("affine")
    assert _fit(tissues) == first
    assert _models(tissues).count("fitted 1") == 1
    tissues.panel.model.setCurrentText("affine")
    tissues.panel.fitting.seed.setValue(1)
    assert nd.load(_fit(tissues)).hash != nd.load(first).hash


@pytest.mark.slow
def test_saved_and_loaded_models_are_the_same(tissues: Any, tmp_path: Path) -> None:
    assert not tissues.panel.fitting.save.isEnabled()
    path = _fit(tissues)
    tissues.run()
    first = tissues.layer("[swapped]").data
    assert tissues.panel.fitting.save.isEnabled()
    tissues.widget.buttons.save_model(str(tmp_path / "mine"))
    tissues.panel.model.setCurrentText("mk")
    tissues.widget.buttons.use_model(str(tmp_path / "mine.safetensors"))
    assert tissues.panel.model.currentText() == "mine"
    assert nd.load(tmp_path / "mine.safetensors").hash == nd.load(path).hash
    tissues.run()
    np.testing.assert_array_equal(tissues.layer("[swapped]").data, first)


def test_foreign_file_as_model_is_one_sentence(tissues: Any, tmp_path: Path) -> None:
    before = _models(tissues)
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    tissues.widget.buttons.use_model(str(tmp_path / "bad.safetensors"))
    assert any("cannot be read as a model" in text for text in tissues.said)
    assert _models(tissues) == before


def test_model_for_other_images_is_one_sentence(tissues: Any, tmp_path: Path) -> None:
    grey = nd.Field(pair(seed=1).first[..., 0].copy(), axes="YX")
    nd.fit(grey, "meanstd").save(tmp_path / "grey.safetensors")
    tissues.widget.buttons.use_model(str(tmp_path / "grey.safetensors"))
    assert any("is for fluorescence images" in text for text in tissues.said)
    assert tissues.panel.model.currentText() == "affine"


def test_loaded_model_keeps_its_settings(tissues: Any, tmp_path: Path) -> None:
    image = nd.Field.from_layer(tissues.viewer.layers["violet"])
    nd.fit(image, "percentile", low=5.0).save(tmp_path / "five.safetensors")
    tissues.widget.buttons.use_model(str(tmp_path / "five.safetensors"))
    tissues.run()
    recipe = tissues.layer("[swapped]").metadata["napari-disentangle"]["recipe"]
    assert recipe["config"]["low"] == 5.0


def test_fitted_models_are_offered_for_their_kind_of_image_only(tissues: Any) -> None:
    _fit(tissues)
    tissues.panel.images.reading.say_modality("fluorescence")
    assert "fitted 1" not in _models(tissues)
    tissues.panel.images.reading.say_modality("brightfield")
    assert "fitted 1" in _models(tissues)


def test_copied_python_does_the_same_with_a_fitted_model(tissues: Any) -> None:
    from qtpy.QtWidgets import QApplication

    path = _fit(tissues)
    tissues.run()
    swapped = tissues.layer("[swapped]")
    before, same = swapped.data, swapped.metadata["napari-disentangle"]
    tissues.click(tissues.panel.copy_python)
    code = QApplication.clipboard().text()
    assert repr(str(path)) in code
    exec(compile(code, "copied", "exec"), {"viewer": tissues.viewer})
    again = tissues.layer("[swapped]")
    assert again.data is not before
    np.testing.assert_array_equal(again.data, before)
    kept = again.metadata["napari-disentangle"]
    assert kept["recipe"]["donor"] == same["recipe"]["donor"]


@pytest.mark.slow
def test_copied_recipe_names_the_file(tissues: Any) -> None:
    from qtpy.QtWidgets import QApplication

    path = _fit(tissues)
    tissues.click(tissues.panel.copy_recipe)
    recipe = nd.Recipe.from_json(json.loads(QApplication.clipboard().text()))
    assert recipe.model == str(path)


def test_too_small_an_image_is_one_sentence(desk: Any) -> None:
    desk.viewer.add_image(pair(seed=1).first[:40, :40], rgb=True, name="small")
    _begin(desk, 6)
    desk.wait(lambda: not desk.widget.running)
    assert any("larger images or more of them" in text for text in desk.said)
    assert desk.panel.fitting.fit.isEnabled()


@pytest.mark.slow
def test_fluorescence_needs_no_fit_and_has_none(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "fluorescence")
    _begin(desk, 6)
    desk.wait(lambda: not desk.widget.running)
    assert any("use it as it is" in text for text in desk.said)
    desk.panel.choose_task("comparable")
    desk.run()
    assert len([name for name in desk.names if "content-only" in name]) == 6


def test_models_keep_the_name_they_are_given_and_are_listed_in_the_next_session(
    tissues: Any, kept: Path
) -> None:
    tissues.panel.fitting.name.setText("slides: May")
    path = _fit(tissues)
    assert path.name == "slides_ May.safetensors"
    assert tissues.panel.model.currentText() == "slides_ May"
    (path.parent / "broken.safetensors").write_bytes(b"nothing")
    tissues.viewer.window.remove_dock_widget(tissues.widget)
    _, tissues.widget = tissues.viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    assert "slides_ May" not in _models(tissues)
    tissues.panel.method.open()
    assert "slides_ May" in _models(tissues)
    assert tissues.panel.model.currentText() == "affine"
    assert any("'broken.safetensors' cannot be read" in text for text in tissues.said)
