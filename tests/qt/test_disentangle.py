"""The widget in a real window: real buttons are pressed, the layers are looked at."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from napari_disentangle.layers.values import as_it_is
from napari_disentangle.samples.data import load

CASES = Path(__file__).resolve().parents[1] / "cases"


def _rgb(edge: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (edge, edge, 3), np.uint8)


@pytest.fixture
def long_run(desk: Any) -> Any:
    """A run that takes many seconds, already started."""
    desk.viewer.add_image(_rgb(2500), rgb=True, name="large")
    desk.panel.choose_task("odd")
    desk.click(desk.panel.run)
    desk.wait(lambda: "computing" in desk.panel.progress.format())
    return desk


def test_swap_within_ten_seconds(smears: Any) -> None:
    originals = [layer.data.copy() for layer in smears.viewer.layers]
    assert (
        "RGB brightfield, 480 x 480 (YX), uint8" in smears.panel.images.summary.text()
    )
    assert smears.run() < 10
    assert len(smears.viewer.layers) == 3
    assert smears.layer("[swapped]").visible
    for layer, original in zip(smears.viewer.layers[:2], originals, strict=True):
        np.testing.assert_array_equal(layer.data, original)
    own, donor = (_warmth(layer.data) for layer in smears.viewer.layers[:2])
    swapped = _warmth(smears.layer("[swapped]").data)
    assert abs(swapped - donor) < 0.2 * abs(own - donor)


def _warmth(image: np.ndarray) -> float:
    """How much redder than blue an image is, in grey levels."""
    return float((image[..., 0].astype(float) - image[..., 2]).mean())


def test_a_class_map_is_labels_and_models_without_one_say_so(smears: Any) -> None:
    smears.panel.model.setCurrentText("affine")
    smears.panel.method.open()
    smears.wait(smears.panel.classes.isVisible)
    smears.panel.scroll.ensureWidgetVisible(smears.panel.classes)
    smears.click_box(smears.panel.classes)
    assert smears.panel.outputs() == ("swap", "classes")
    smears.run()
    assert smears.layer("[swapped]").visible
    made = smears.layer("[classes]")
    assert not made.visible  # it would lie on it
    assert type(made).__name__ == "Labels"
    assert made.data.min() > 0
    smears.panel.model.setCurrentText("mk")
    smears.run()
    assert any("only 'affine' sorts the pixels" in words for words in smears.said)
    assert any("[swapped]" in name for name in smears.names)


@pytest.mark.slow
def test_content_maps_are_added_if_their_box_is_checked(smears: Any) -> None:
    from qtpy.QtWidgets import QApplication

    import napari_disentangle as nd

    box = smears.panel.maps
    smears.panel.method.open()
    smears.wait(box.isVisible)
    smears.panel.scroll.ensureWidgetVisible(box)
    assert smears.panel.outputs() == ("swap",)
    smears.click_box(box)
    assert smears.panel.outputs() == ("swap", "maps")
    smears.run()
    maps = [f"blood smear 1 (mauve) [content map {i}]" for i in (1, 2, 3)]
    names = smears.names
    assert names[-3:] == maps
    assert len(names) == 2 + 1 + 3
    fields = [nd.Field.from_layer(layer) for layer in smears.viewer.layers[:2]]
    expected = nd.fit(fields, "mk").encode(fields[0])
    for name, values in zip(maps, expected, strict=True):
        np.testing.assert_array_equal(smears.layer(name).data, values)
    smears.run()
    assert smears.names == names
    smears.click(smears.panel.copy_python)
    code = QApplication.clipboard().text()
    kept = smears.layer(maps[2]).metadata
    exec(compile(code, "copied", "exec"), {"viewer": smears.viewer})
    assert smears.names == names
    assert smears.layer(maps[2]).metadata == kept
    smears.click_box(box)
    assert smears.panel.outputs() == ("swap",)


def test_anomaly_map_finds_the_white_cell(smears: Any) -> None:
    smears.panel.choose_task("odd")
    smears.run()
    z = smears.layer("[anomaly]").data
    violet = _violet(smears.viewer.layers[0].data)
    assert np.median(z[violet]) > np.quantile(z[~violet], 0.9)


def _violet(image: np.ndarray) -> np.ndarray:
    """The nucleus: dark and blue."""
    red, green, blue = np.moveaxis(image.astype(int), -1, 0)
    return (blue - green > 60) & (red < 140)


def test_running_again_replaces_our_layers(smears: Any) -> None:
    smears.run()
    names = smears.names
    smears.run()
    assert smears.names == names


def test_slider_changes_the_swap_within_a_tenth_of_a_second(smears: Any) -> None:
    smears.run()
    layer = smears.layer("[swapped]")
    took = []
    for value in (40, 80, 20, 60):
        smears.settle()  # the last change is drawn, the hand rests on the slider
        before, start = layer.data.copy(), monotonic()
        smears.panel.strength.setValue(value)
        smears.wait(lambda b=before: bool((layer.data != b).any()), 5)
        took.append(monotonic() - start)
    assert np.median(took) < 0.1
    smears.panel.strength.setValue(0)
    original = smears.viewer.layers[0].data
    smears.wait(lambda: bool((layer.data == original).all()))
    kept = layer.metadata["napari-disentangle"]
    smears.wait(lambda: kept is not layer.metadata["napari-disentangle"], 5)
    assert layer.metadata["napari-disentangle"]["recipe"]["strength"] == 0


def test_a_stack_follows_the_slider_in_the_plane_that_is_seen_and_then_in_all(
    desk: Any,
) -> None:
    rng = np.random.default_rng(0)
    for name, level in (("dim", 300), ("bright", 900)):
        stack = rng.gamma(2, level, (6, 64, 64)).astype(np.uint16)
        desk.viewer.add_image(stack, name=name)
    desk.panel.model.setCurrentText("meanstd")
    desk.reference(desk.viewer.layers["bright"])
    desk.run()
    layer, source = desk.layer("[swapped]"), desk.viewer.layers["dim"]
    made, copied = layer.data, layer.data.copy()
    desk.viewer.dims.set_current_step(0, 4)
    desk.panel.strength.setValue(0)
    desk.wait(lambda: bool((layer.data[4] == source.data[4]).all()), 5)
    desk.wait(lambda: bool((layer.data == source.data).all()), 5)
    assert (made == copied).all()  # another layer may show the same array


def test_another_donor_gives_another_swap(smears: Any) -> None:
    dark = (smears.viewer.layers[1].data * 0.6).astype(np.uint8)
    smears.viewer.add_image(dark, rgb=True, name="dark")
    smears.run()
    first = smears.layer("[swapped]").data
    smears.reference(smears.viewer.layers["dark"])
    smears.run()
    assert smears.layer("[swapped]").data.mean() < first.mean() - 20


@pytest.mark.slow
def test_several_images_and_several_donors(smears: Any) -> None:
    first, second = smears.viewer.layers[:2]
    more = [
        smears.viewer.add_image(one.data[::-1], rgb=True, name=f"more {i}")
        for i, one in enumerate((first, second))
    ]
    smears.check(first, more[0], reference=[second, more[1]])
    assert "4 images" in smears.panel.images.summary.text()
    smears.run()
    assert len(smears.viewer.layers) == 6
    kept = smears.layer("more 0 [swapped]").metadata["napari-disentangle"]
    assert len(kept["recipe"]["donors"]) == 2


def test_cancel_returns_within_a_second(long_run: Any) -> None:
    before = long_run.names
    long_run.click(long_run.panel.cancel)
    assert long_run.wait(lambda: not long_run.widget.running, 5) < long_run.second
    assert long_run.panel.run.isEnabled()
    assert not long_run.panel.cancel.isEnabled()
    assert long_run.names == before


def test_progress_says_how_much_time_is_left(long_run: Any) -> None:
    long_run.wait(lambda: "s left" in long_run.panel.progress.format())
    assert 0 < long_run.panel.progress.value() < 100
    long_run.click(long_run.panel.cancel)
    long_run.wait(lambda: not long_run.widget.running, 5)


def test_widget_works_after_cancel(smears: Any) -> None:
    smears.click(smears.panel.run)
    smears.click(smears.panel.cancel)
    smears.wait(lambda: not smears.widget.running, 20)
    smears.run()
    assert len(smears.viewer.layers) == 3


def _break(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    from napari_disentangle.model.pixels import PixelMap

    def move(*args: Any) -> Any:
        raise error

    monkeypatch.setattr(PixelMap, "__call__", move)


def test_exception_in_the_worker_is_said_and_the_widget_is_ready(
    smears: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break(monkeypatch, RuntimeError("the moon is full"))
    smears.run()
    assert any("the moon is full" in text for text in smears.said)
    assert smears.panel.run.isEnabled()
    monkeypatch.undo()
    smears.run()
    assert len(smears.viewer.layers) == 3


def test_out_of_memory_is_said_and_the_widget_is_ready(
    smears: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    _break(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    smears.run()
    assert any("no memory left" in text for text in smears.said)
    assert smears.panel.run.isEnabled()


def test_layer_deleted_in_the_middle_of_a_run(long_run: Any) -> None:
    layers = long_run.viewer.layers
    layers.remove(layers["large"])
    assert long_run.panel.images.table.checked() == []
    long_run.click(long_run.panel.cancel)
    long_run.wait(lambda: not long_run.widget.running, 5)
    assert long_run.names == []


def test_result_of_a_deleted_layer_is_not_added(smears: Any) -> None:
    smears.click(smears.panel.run)
    smears.viewer.layers.remove(smears.viewer.layers[0])
    smears.wait(lambda: not smears.widget.running)
    assert smears.names == ["blood smear 2 (rust)"]
    assert "removed, so nothing was added" in smears.panel.message.text()


def test_viewer_closed_in_the_middle_of_a_run(long_run: Any) -> None:
    worker = long_run.widget._worker
    long_run.viewer.close()
    long_run.wait(lambda: not worker.is_running, 5)


def test_dock_closed_in_the_middle_of_a_run(long_run: Any) -> None:
    worker = long_run.widget._worker
    long_run.viewer.window.remove_dock_widget(long_run.widget)
    long_run.wait(lambda: not worker.is_running, 5)
    assert long_run.names == ["large"]
    long_run.viewer.add_image(_rgb(16), rgb=True, name="after")
    assert long_run.names == ["large", "after"]


def test_a_swap_of_one_image_says_before_run_what_is_missing(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "stack")
    desk.panel.choose_task("swap")
    assert any("to 'reference look', or load a look" in text for text in desk.said)
    assert not desk.panel.run.isEnabled()


def test_of_two_images_the_last_is_proposed_as_the_reference(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "brightfield")
    desk.panel.choose_task("swap")
    table = desk.panel.images.table
    roles = [table.role(layer) for layer in desk.viewer.layers]
    assert roles == ["image", "reference"]
    assert desk.panel.run.isEnabled()


def test_wrong_axes_are_said_in_the_summary_and_on_run(smears: Any) -> None:
    smears.panel.images.reading.axes.setText("ZYX")
    smears.panel.images.reading.axes.editingFinished.emit()
    assert "cannot be used" in smears.panel.images.summary.text()
    smears.click(smears.panel.run)
    assert not smears.widget.running
    assert any("axes" in text for text in smears.said)
    assert not smears.panel.run.isEnabled()


def test_blank_image_is_returned_with_a_warning(smears: Any) -> None:
    blank = np.full((64, 64, 3), 255, np.uint8)
    layer = smears.viewer.add_image(blank, rgb=True, name="blank")
    smears.check(layer, reference=smears.viewer.layers[1])
    smears.run()
    assert "no foreground" in smears.panel.message.text()
    np.testing.assert_array_equal(smears.layer("blank [swapped]").data, blank)


def test_channels_come_back_as_layers_with_their_look(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "fluorescence")
    first = [layer for layer in desk.viewer.layers if "well A" in layer.name]
    second = [layer for layer in desk.viewer.layers if "well B" in layer.name]
    desk.panel.choose_task("swap")
    desk.check(*first, reference=second)
    assert desk.panel.images.as_channels.isChecked()
    assert "2 images: 3 channels fluorescence" in desk.panel.images.summary.text()
    desk.run()
    assert len(desk.viewer.layers) == 6 + 3
    for layer in first:
        swapped = desk.layer(f"{layer.name} [swapped]")
        assert swapped.colormap.name == layer.colormap.name
        assert swapped.blending == layer.blending
        np.testing.assert_allclose(swapped.translate, layer.translate)


@pytest.mark.slow
def test_stack_frame_by_frame(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "stack")
    source = desk.viewer.layers[0]
    half = desk.viewer.add_image(source.data // 2, name="half", scale=source.scale)
    desk.check(source, half)
    desk.panel.images.table.set_batch([source, half], "")
    desk.panel.pool.setCurrentIndex(desk.panel.pool.findData("frame"))
    desk.run()
    content = desk.layer("[content-only]")
    assert content.data.shape == source.data.shape
    assert content.data.dtype == source.data.dtype
    np.testing.assert_allclose(content.scale, source.scale)
    assert content.axis_labels == source.axis_labels


def test_pyramid_gives_a_pyramid_that_follows_the_slider(smears: Any) -> None:
    image = smears.viewer.layers[0].data
    levels = [image, image[::2, ::2], image[::4, ::4]]
    layer = smears.viewer.add_image(levels, rgb=True, name="pyramid", multiscale=True)
    smears.check(layer, reference=smears.viewer.layers[1])
    smears.run()
    swapped = smears.layer("pyramid [swapped]")
    assert swapped.multiscale
    assert [level.shape for level in swapped.data] == [x.shape for x in levels]
    shown, before = swapped.data[0], swapped.thumbnail.copy()
    kept, whole = as_it_is(swapped.data), np.asarray(swapped.data[0])
    smears.panel.strength.setValue(0)
    smears.wait(lambda: bool((np.asarray(swapped.data[-1]) == levels[-1]).all()))
    assert swapped.data[0] is shown
    np.testing.assert_array_equal(shown, levels[0])
    smears.wait(lambda: not np.array_equal(swapped.thumbnail, before))
    assert swapped.metadata["napari-disentangle"]["recipe"]["strength"] == 0
    # what is being saved is as it was when Save was pressed
    np.testing.assert_array_equal(kept[0], whole)
    assert not np.array_equal(kept[-1], levels[-1])


def test_a_pyramid_of_one_level_follows_the_slider(smears: Any) -> None:
    image = smears.viewer.layers[0].data
    layer = smears.viewer.add_image([image], rgb=True, name="one", multiscale=True)
    smears.check(layer, reference=smears.viewer.layers[1])
    smears.run()
    swapped = smears.layer("one [swapped]")
    smears.panel.strength.setValue(40)
    smears.widget.slider.follow()
    smears.panel.strength.setValue(0)
    smears.wait(lambda: bool((np.asarray(swapped.data[0]) == image).all()))


@pytest.mark.parametrize(
    "task", ["comparable", "swap", pytest.param("odd", marks=pytest.mark.slow)]
)
def test_copied_python_does_the_same(smears: Any, task: str) -> None:
    from qtpy.QtWidgets import QApplication

    smears.panel.choose_task(task)
    smears.run()
    made = [layer for layer in smears.viewer.layers if "[" in layer.name]
    data = {layer.name: (layer.data.copy(), layer.metadata) for layer in made}
    smears.click(smears.panel.copy_python)
    code = QApplication.clipboard().text()
    exec(compile(code, "copied", "exec"), {"viewer": smears.viewer})
    assert len(smears.viewer.layers) == 2 + len(made)
    for name, (values, kept) in data.items():
        np.testing.assert_array_equal(smears.layer(name).data, values)
        assert smears.layer(name).metadata == kept


def test_copied_recipe_is_a_recipe(smears: Any) -> None:
    from qtpy.QtWidgets import QApplication

    import napari_disentangle as nd

    smears.click(smears.panel.copy_recipe)
    recipe = nd.Recipe.from_json(json.loads(QApplication.clipboard().text()))
    assert [image.name for image in recipe.images] == ["blood smear 1 (mauve)"]
    assert [donor.name for donor in recipe.donors] == ["blood smear 2 (rust)"]
    words = "with paths for blood smear 1 (mauve), blood smear 2 (rust), which came"
    assert any(words in text for text in smears.said)


def test_saved_attribute_as_donor(smears: Any, tmp_path: Any) -> None:
    smears.run()
    first = smears.layer("[swapped]").data
    path = tmp_path / "look.json"
    look = smears.widget.slider.given_look()
    path.write_text(json.dumps(look.to_json()))
    smears.widget.buttons.use_look(str(path))
    table = smears.panel.images.table
    assert {table.role(layer) for layer in table.layers()} == {"image"}
    assert "look.json" in smears.panel.look_file.text()
    smears.run()
    np.testing.assert_array_equal(smears.layer("[swapped]").data, first)


def test_foreign_file_as_donor_is_one_sentence(smears: Any, tmp_path: Any) -> None:
    path = tmp_path / "look.json"
    path.write_text("{}")
    smears.widget.buttons.use_look(str(path))
    assert any("cannot be used as a donor" in text for text in smears.said)


def test_settings_of_the_model_are_a_form(smears: Any) -> None:
    smears.panel.model.setCurrentText("percentile")
    smears.panel.method.open()
    assert smears.panel.form.native.isVisible()
    smears.settle()
    assert smears.panel.form.native.height() > 20
    smears.panel.form["low"].value = 5.0
    smears.run()
    kept = smears.layer("[swapped]").metadata["napari-disentangle"]["recipe"]
    assert kept["config"] == {"low": 5.0, "high": 99.0}


def test_only_fitting_models_are_offered(desk: Any) -> None:
    desk.viewer.add_image(np.arange(4096, dtype=np.uint16).reshape(64, 64), name="grey")
    names = [desk.panel.model.itemText(i) for i in range(desk.panel.model.count())]
    assert "macenko" not in names
    assert "meanstd" in names
    desk.panel.images.reading.say_modality("brightfield")
    assert "Cannot be used" not in desk.panel.images.summary.text()


def test_check_my_gpu_says_what_would_be_used(desk: Any) -> None:
    desk.click(desk.panel.check_devices)
    devices = [desk.panel.device.itemText(i) for i in range(desk.panel.device.count())]
    assert any(text.startswith("cpu") for text in devices)
    assert desk.said


@pytest.mark.slow
def test_showing_the_widget_does_not_import_torch() -> None:
    import subprocess

    code = (
        "import sys, napari\n"
        "viewer = napari.Viewer(show=True)\n"
        "for widget in ('Disentangle', 'Anomaly map'):\n"
        "    viewer.window.add_plugin_dock_widget('napari-disentangle', widget)\n"
        "viewer.open_sample('napari-disentangle', 'brightfield')\n"
        "print('torch' in sys.modules)\n"
        "viewer.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "False"


def test_save_with_provenance(smears: Any, tmp_path: Any) -> None:
    import napari_disentangle as nd

    smears.run()
    layer = smears.layer("[swapped]")
    path = tmp_path / "swapped.ome.tif"
    assert layer.save(str(path), plugin="napari-disentangle") == [str(path)]
    read = nd.read(path)
    np.testing.assert_array_equal(np.asarray(read.levels[0]), layer.data)
    kept = nd.read_provenance(path)
    assert kept["recipe"] == layer.metadata["napari-disentangle"]["recipe"]


def test_device_comes_from_the_preferences(
    make_napari_viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari.settings import get_plugin_settings

    processing = get_plugin_settings("napari-disentangle").processing
    monkeypatch.setattr(processing, "device", "cuda:7")
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-disentangle", "Disentangle"
    )
    assert widget.panel.device.currentData() == "cuda:7"


def test_missing_device_is_one_sentence(smears: Any) -> None:
    smears.panel.choose_device("cuda:7")
    smears.run()
    assert any("'cuda:7' is not available" in text for text in smears.said)


def test_images_of_one_batch_would_not_change_which_is_said_before_run(
    desk: Any,
) -> None:
    desk.viewer.open_sample("napari-disentangle", "fluorescence")
    assert "2 images: 3 channels" in desk.panel.images.summary.text()
    assert desk.panel.run.isEnabled()
    desk.panel.images.all_one.trigger()
    assert not desk.panel.run.isEnabled()
    assert "all images are in one batch" in desk.panel.message.text()
    desk.panel.images.each_its_own.trigger()
    assert desk.panel.run.isEnabled()
    assert desk.panel.message.text() == ""


@pytest.mark.slow
def test_a_run_leaves_what_was_typed_as_it_is(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "fluorescence")
    table = desk.panel.images.table
    table.set_batch(table.layers()[:1], "mine")
    desk.panel.pool.setCurrentIndex(desk.panel.pool.findData("frame"))
    desk.run()
    assert desk.panel.pool.currentData() == "frame"
    assert table.batch(table.layers()[0]) == "mine"
    stack = np.random.default_rng(0).gamma(2, 50, (3, 64, 64)).astype(np.float32)
    desk.panel.choose_task("odd")
    desk.check(desk.viewer.add_image(stack, name="three"))
    desk.panel.images.reading.axes.setText("TYX")
    desk.panel.images.reading.axes.editingFinished.emit()
    desk.run()
    assert desk.panel.images.reading.axes.text() == "TYX"


def test_a_plane_may_give_its_look_to_a_stack(desk: Any) -> None:
    desk.viewer.open_sample("napari-disentangle", "stack")
    plane = desk.viewer.layers[0].data[10] // 2
    donor = desk.viewer.add_image(plane, name="plane")
    desk.reference(donor)
    desk.panel.choose_task("swap")
    desk.run()
    assert desk.layer("[swapped]").data.mean() < desk.viewer.layers[0].data.mean()


def test_nothing_checked_is_one_sentence(smears: Any) -> None:
    smears.panel.images.table.check([])
    smears.click(smears.panel.run)
    assert not smears.widget.running
    assert any("Check at least one image" in text for text in smears.said)
    assert not smears.panel.run.isEnabled()


def test_copied_python_keeps_the_device(smears: Any) -> None:
    from qtpy.QtWidgets import QApplication

    smears.panel.choose_device("cpu")
    smears.click(smears.panel.copy_python)
    assert "device='cpu'" in QApplication.clipboard().text()


def _copied(desk: Any, button: Any) -> str:
    from qtpy.QtWidgets import QApplication

    desk.click(button)
    return str(QApplication.clipboard().text())


@pytest.mark.slow
def test_a_layer_may_be_renamed_during_a_run(desk: Any) -> None:
    desk.viewer.add_image(_rgb(1200), rgb=True, name="image")
    desk.panel.choose_task("odd")
    desk.click(desk.panel.run)
    desk.wait(lambda: "computing" in desk.panel.progress.format())
    desk.layer("image").name = "another name"
    desk.wait(lambda: not desk.widget.running, 120)
    assert any("[anomaly]" in name for name in desk.names)
    assert "removed" not in desk.panel.message.text()


@pytest.mark.parametrize(
    "kind", [pytest.param("shapes", marks=pytest.mark.slow), "labels"]
)
def test_the_look_is_measured_where_a_layer_is_painted(smears: Any, kind: str) -> None:
    """The left half of the donor is night."""
    image, donor = smears.viewer.layers[:2]
    dark = donor.data.copy()
    dark[:, : dark.shape[1] // 2] = dark[:, : dark.shape[1] // 2] // 4
    donor.data = dark
    smears.run()
    before = smears.layer(f"{image.name} [swapped]").data.mean()
    height, width = dark.shape[:2]
    if kind == "shapes":
        right = [[0, width // 2], [0, width], [height, width], [height, width // 2]]
        smears.viewer.add_shapes(
            [np.array(right)], name="here", translate=donor.translate
        )
    else:
        marks = np.zeros(dark.shape[:2], np.uint8)
        marks[:, width // 2 :] = 1
        smears.viewer.add_labels(marks, name="here", translate=donor.translate)
    smears.panel.measured.setCurrentText("here")
    smears.run()
    after = smears.layer(f"{image.name} [swapped]").data.mean()
    assert after > before + 10
    script = _copied(smears, smears.panel.copy_python)
    assert "nd.painted(layers['here']" in script
    before = smears.layer(f"{image.name} [swapped]").data
    exec(script, {"viewer": smears.viewer})
    np.testing.assert_array_equal(smears.layer(f"{image.name} [swapped]").data, before)


def test_marks_that_are_nowhere_are_one_sentence(smears: Any) -> None:
    smears.viewer.add_labels(np.zeros((480, 480), np.uint8), name="empty")
    smears.panel.measured.setCurrentText("empty")
    smears.click(smears.panel.run)
    assert not smears.widget.running
    assert any("'empty' marks nothing on the images" in text for text in smears.said)


def test_full_scale_is_said_in_the_window(desk: Any) -> None:
    """12 bits kept in 16, which would be night."""
    pixels = load("blood_1")[:128, :128].astype(np.uint16) * 16
    desk.viewer.add_image(pixels, rgb=True, name="12 bits")
    other = pixels[::-1].copy() // 2
    desk.viewer.add_image(other, rgb=True, name="another")
    desk.panel.images.reading.full_scale.setValue(4095)
    desk.run()
    kept = desk.layer("[content-only]").metadata["napari-disentangle"]
    assert kept["recipe"]["images"][0]["full_scale"] == 4095
    assert "full_scale=4095" in _copied(desk, desk.panel.copy_python)
    desk.panel.images.reading.full_scale.setValue(100_000)
    assert "more than uint16 can hold" in desk.panel.images.summary.text()


def test_a_first_axis_without_a_name_is_asked_about(desk: Any) -> None:
    from qtpy.QtTest import QTest

    planes = np.random.default_rng(0).integers(0, 255, (3, 64, 64)).astype(np.uint8)
    desk.viewer.add_image(planes, name="planes")
    desk.click(desk.panel.images.change)
    assert desk.panel.images.reading.first_axis.isVisible()
    assert "3 planes and no name" in desk.panel.images.reading.first_axis_note.text()
    QTest.keyClicks(desk.panel.images.reading.first_axis, "c")
    desk.panel.images.reading.first_axis.activated.emit(
        desk.panel.images.reading.first_axis.currentIndex()
    )
    assert desk.panel.images.reading.axes.text() == "CYX"
    assert "3 channels" in desk.panel.images.summary.text()
    desk.viewer.add_image(planes[0], name="plane")
    desk.panel.images.table.check([desk.viewer.layers["plane"]])
    assert not desk.panel.images.reading.first_axis.isVisible()


def test_axes_come_from_the_file_behind_a_layer(desk: Any) -> None:
    desk.viewer.open(CASES / "fluo_plain.ome.tif")
    assert desk.panel.images.reading.axes.text() == "CYX"
    assert not desk.panel.images.reading.first_axis.isVisible()
    assert "3 channels" in desk.panel.images.summary.text()


def test_a_swap_to_a_bright_donor_is_shown_as_bright_as_its_image(desk: Any) -> None:
    dim = load("cells_a")[0].astype(np.uint16)
    image = desk.viewer.add_image(dim, name="dim", contrast_limits=(5, 120))
    bright = load("cells_b")[0].astype(np.uint16) * 30 + 500
    donor = desk.viewer.add_image(bright, name="bright")
    desk.check(image)
    desk.reference(donor)
    desk.run()
    made = desk.layer("dim [swapped]")
    shares = [
        np.mean(np.clip(one.data, *one.contrast_limits) == one.contrast_limits[end])
        for one in (image, made)
        for end in (0, 1)
    ]
    assert shares[:2] == pytest.approx(shares[2:], abs=0.02)


def test_what_is_odd_about_a_donor_is_said(smears: Any) -> None:
    donor = smears.viewer.layers[1]
    padded = donor.data.copy()
    padded[:, :40] = 0
    donor.data = padded
    smears.run()
    notes = smears.panel.message.text()
    assert f"donor '{donor.name}': 8.3% of the pixels are padding" in notes
