"""Result layers carry the arrays and the provenance that files would."""

from __future__ import annotations

import gc
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_disentangle as nd
from napari_disentangle.compute.lazy import LARGE_TILE
from napari_disentangle.errors import AxesError, DataError

pytest.importorskip("napari")

from napari.components import ViewerModel
from napari.layers import Image
from skimage.transform import resize
from strategies import Endless, Recording, image, scene

from napari_disentangle.layers import values as layer_values
from napari_disentangle.layers.add import Picked
from napari_disentangle.layers.data import KEY, layer_data
from napari_disentangle.layers.save import write_layer
from napari_disentangle.pipeline.output import make
from napari_disentangle.pipeline.recipe import Recipe, Source


@pytest.fixture
def files(tmp_path):
    """Two colour images in files, and layers that napari would open from them."""
    viewer = ViewerModel()
    for seed in range(2):
        field = image("brightfield", seed)
        path = tmp_path / f"slide{seed}.ome.tif"
        list(nd.write(nd.apply(nd.fit(field, "identity"), field), path))
        layer = Image(field.data, rgb=True, name=f"slide{seed}")
        layer._source = layer.source.model_copy(update={"path": str(path)})
        viewer.add_layer(layer)
    return viewer


def test_console_and_files_give_the_same(files, tmp_path):
    first, second = files.layers
    model = nd.fit([nd.Field.from_layer(layer) for layer in files.layers])
    added = nd.add_layers(
        files, model, first, None, second, 0.7, device="cpu", alpha=None
    )
    recipe = Recipe(
        images=(Source.of(nd.Field.from_layer(first)),),
        donors=(Source.of(nd.Field.from_layer(second)),),
        reference=model.reference.to_json(),
        strength=0.7,
        device="cpu",
    )
    written = [p for p in nd.run(recipe, tmp_path / "out") if isinstance(p, Path)]
    assert len(added) == len(written) == 3
    for layer, path in zip(added, written, strict=True):
        np.testing.assert_array_equal(nd.read(path).data, layer.data)
        kept = dict(layer.metadata[KEY])
        assert kept.pop("layer") == first.name
        assert nd.read_provenance(path) == kept


def test_the_recipe_in_a_layer_makes_it_again(files, tmp_path):
    first, second = files.layers
    model = nd.fit(nd.Field.from_layer(first), "reinhard")
    added = nd.add_layers(files, model, first, donor=second, device="cpu", alpha=None)
    for layer in added:
        kept = layer.metadata[KEY]
        recipe = Recipe.from_json(kept).model_copy(
            update={"outputs": (kept["output"],)}
        )
        folder = tmp_path / kept["output"]
        (path,) = (p for p in nd.run(recipe, folder) if isinstance(p, Path))
        np.testing.assert_array_equal(nd.read(path).data, layer.data)


def test_a_model_that_learned_is_used_as_it_is(files):
    slides = [image("brightfield", seed, 96) for seed in range(2)]
    model = nd.fit(slides, "affine", steps=1)
    first, second = files.layers
    content, swap = nd.add_layers(
        files, model, first, ("content", "swap"), donor=second, device="cpu"
    )
    field, donor = (nd.Field.from_layer(layer) for layer in (first, second))
    np.testing.assert_array_equal(content.data, model.content(field))
    np.testing.assert_array_equal(swap.data, model.swap(field, donor))
    assert swap.metadata[KEY]["model_hash"] == model.hash


def test_the_recipe_of_a_model_in_a_file_makes_it_again(files, tmp_path):
    slides = [image("brightfield", seed, 96) for seed in range(2)]
    model = nd.fit(slides, "affine", steps=1).save(tmp_path / "mine.safetensors")
    for number, known in enumerate([model, nd.load(tmp_path / "mine.safetensors")]):
        (layer,) = nd.add_layers(files, known, files.layers[0], ["content"])
        recipe = Recipe.from_json(layer.metadata[KEY])
        assert recipe.model == str(tmp_path / "mine.safetensors")
        folder = tmp_path / str(number)
        (path,) = (p for p in nd.run(recipe, folder) if isinstance(p, Path))
        np.testing.assert_array_equal(nd.read(path).data, layer.data)


def test_the_recipe_of_a_model_that_was_never_saved_is_refused(files, tmp_path):
    slides = [image("brightfield", seed, 96) for seed in range(2)]
    model = nd.fit(slides, "affine", steps=1)
    (layer,) = nd.add_layers(files, model, files.layers[0], ["content"])
    recipe = Recipe.from_json(layer.metadata[KEY])
    with pytest.raises(nd.DisentangleError, match="other settings or weights"):
        list(nd.run(recipe, tmp_path / "out"))


def test_results_say_that_they_are_synthetic(files):
    first, second = files.layers
    model = nd.fit(nd.Field.from_layer(first), "mk")
    added = nd.add_layers(files, model, first, donor=second, alpha=None)
    names = [layer.name for layer in added]
    assert names == ["slide0 [content-only]", "slide0 [swapped]", "slide0 [anomaly]"]
    assert all(layer.metadata[KEY]["synthetic"] for layer in added)
    assert added[2].metadata[KEY]["basis"] == "this image: rarity assumed"


def test_a_blank_layer_says_so():
    viewer = ViewerModel()
    blank = viewer.add_image(np.zeros((60, 60), np.uint8), name="blank")
    model = nd.fit(nd.Field(scene("YX", (60, 60)), "YX"), "meanstd")
    (content,) = nd.add_layers(viewer, model, blank, outputs=["content"])
    assert content.data.tobytes() == blank.data.tobytes()
    assert any("no foreground" in word for word in content.metadata[KEY]["status"])


def test_no_donor_means_no_swap(files):
    model = nd.fit(nd.Field.from_layer(files.layers[0]), "mk")
    added = nd.add_layers(files, model, files.layers[0], alpha=None)
    assert [layer.metadata[KEY]["output"] for layer in added] == ["content", "anomaly"]
    with pytest.raises(DataError, match="a swap needs a donor"):
        nd.add_layers(files, model, files.layers[0], outputs=("swap",))


def test_a_pyramid_is_computed_where_it_is_seen():
    levels = [Recording(scene("YX", (n, n), seed=n)) for n in (2048, 512, 64)]
    layer = Image(levels, multiscale=True, contrast_limits=(0, 255), name="slide")
    model = nd.fit(nd.Field.from_layer(layer), "meanstd")
    donor = model.attribute(nd.Field(scene("YX", (60, 60)), "YX"))
    own = model.attribute(nd.Field.from_layer(layer))
    for level in levels:
        level.reads.clear()
    added = nd.add_layers(
        ViewerModel(), model, layer, ["content", "swap"], donor, source=own
    )
    # A few blocks tell what would be cut off.
    assert levels[0].values_read < levels[0].size / 4
    # A small level is read once, to find padding.
    assert levels[1].values_read == levels[1].size
    for result in added:
        assert isinstance(result.data[2], np.ndarray)
        whole = model.render(
            nd.Field(levels[0].array, "YX"),
            donor if result is added[1] else model.reference,
            source=own,
        )
        np.testing.assert_array_equal(result.data[0][30:50, 60:90], whole[30:50, 60:90])


@pytest.mark.parametrize(
    "shapes",
    [[(4, 96, 96), (4, 48, 48), (4, 24, 24)], [(4, 96, 96), (2, 32, 48), (1, 7, 11)]],
    ids=["halved", "uneven, along Z too"],
)
def test_smaller_levels_of_an_anomaly_map_are_means_of_the_first(shapes):
    """Noise is averaged away in a pyramid: scored anew, it would look odd."""
    full = scene("ZYX", shapes[0], "float32")
    full += np.random.default_rng(0).normal(0, 0.05, shapes[0]).astype(np.float32)
    levels = [full] + [resize(full, s, anti_aliasing=True) for s in shapes[1:]]
    layer = Image(levels, multiscale=True, contrast_limits=(0, 1), name="slide")
    model = nd.fit(nd.Field.from_layer(layer), "meanstd")
    (anomaly,) = nd.add_layers(ViewerModel(), model, layer, ["anomaly"], alpha=None)
    first, *others = (np.asarray(level) for level in anomaly.data)
    assert [level.shape for level in anomaly.data] == shapes
    (plain,) = nd.add_layers(ViewerModel(), model, Image(full), ["anomaly"], alpha=None)
    np.testing.assert_array_equal(first, plain.data)
    assert anomaly.contrast_limits == plain.contrast_limits
    for level in others:
        assert level.mean() == pytest.approx(first.mean(), abs=0.05)


def test_an_anomaly_map_keeps_the_places_of_what_it_shows():
    levels = [scene("YX", (96, 80)), scene("YX", (24, 20))]
    layer = Image(levels, multiscale=True, contrast_limits=(0, 255), name="slide")
    model = nd.fit(nd.Field.from_layer(layer), "meanstd")
    (anomaly,) = nd.add_layers(ViewerModel(), model, layer, ["anomaly"], alpha=None)
    blocks = np.asarray(anomaly.data[0]).reshape(24, 4, 20, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(anomaly.data[1], blocks, atol=1e-5)


def test_content_maps_are_grey_numbered_and_stretched():
    viewer = ViewerModel()
    layer = viewer.add_image(scene("YXC", (60, 61, 3)), name="tissue")
    model = nd.fit(nd.Field.from_layer(layer), "mk")
    maps = nd.add_layers(viewer, model, layer, outputs=["maps"])
    for number, one in enumerate(maps, 1):
        kept = one.metadata[KEY]
        assert (kept["output"], kept["map"], kept["synthetic"]) == (
            "maps",
            number,
            True,
        )
        assert one.colormap.name == "gray"
        low, high = one.contrast_limits
        np.testing.assert_allclose(
            (low, high), np.percentile(one.data, (0.1, 99.9)), rtol=1e-5
        )
        assert one.data.min() < low
        assert one.data.max() > high


def test_a_blank_image_has_flat_maps_that_can_be_shown():
    viewer = ViewerModel()
    blank = viewer.add_image(np.zeros((60, 60), np.uint8), name="blank")
    model = nd.fit(nd.Field(scene("YX", (60, 60)), "YX"), "meanstd")
    (flat,) = nd.add_layers(viewer, model, blank, outputs=["maps"])
    low, high = flat.contrast_limits
    assert low == pytest.approx(flat.data.min())
    assert high > low
    assert any("no foreground" in word for word in flat.metadata[KEY]["status"])


def test_content_maps_of_a_pyramid_are_computed_where_they_are_seen():
    levels = [Recording(scene("YX", (n, n), seed=n)) for n in (2048, 512, 64)]
    layer = Image(levels, multiscale=True, contrast_limits=(0, 255), name="slide")
    field = nd.Field.from_layer(layer)
    model = nd.fit(field, "meanstd")
    own = model.attribute(field)
    for level in levels:
        level.reads.clear()
    (one,) = nd.add_layers(ViewerModel(), model, layer, ["maps"], source=own)
    # A few blocks tell from what to what it is shown.
    assert levels[0].values_read < levels[0].size / 4
    # A small level is read once, to find padding.
    assert levels[1].values_read == levels[1].size
    assert isinstance(one.data[2], np.ndarray)
    expected = model.encode(nd.Field(levels[0].array, "YX"))[0]
    np.testing.assert_array_equal(one.data[0][30:50, 60:90], expected[30:50, 60:90])


class Far:
    """A method that says that it looks at neighbours."""

    halo = 2

    def __init__(self, known):
        self._known = known

    def __getattr__(self, name):
        return getattr(self._known, name)


def test_a_map_of_neighbours_has_means_as_smaller_levels():
    """What lies around a pixel differs from level to level."""
    levels = [scene("YXC", (96, 80, 3)), scene("YXC", (24, 20, 3))]
    layer = Image(levels, rgb=True, multiscale=True, name="slide")
    picked = Picked.of([layer])
    made = make(nd.fit(picked.field, "meanstd"), picked.field, "maps")
    rendering = made.lazy.operation.rendering
    looking = replace(rendering, method=Far(rendering.method))
    operation = replace(made.lazy.operation, rendering=looking)
    made = replace(made, lazy=replace(made.lazy, operation=operation))
    maps = [x for x in layer_data(made, picked.styles) if isinstance(x, tuple)]
    for (first, second), attributes, _ in maps:
        assert attributes["multiscale"]
        blocks = first.reshape(24, 4, 20, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(second, blocks, rtol=1e-4, atol=1e-5)


def added_large(monkeypatch):
    """Add an anomaly map twice, small and large; the viewer goes with this function."""
    pixels = scene("YXC", (150, 120, 3))
    model = nd.fit(nd.Field(pixels, "YXC"), "meanstd")
    viewer = ViewerModel()
    shown = viewer.add_image(pixels, rgb=True, name="slide")
    (small, _) = nd.add_layers(viewer, model, shown, ["anomaly"])
    whole = small.data.copy()
    viewer.layers.remove(small)
    monkeypatch.setattr(layer_values, "EAGER", 1000)
    (large,) = nd.add_layers(viewer, model, shown, ["anomaly"])
    assert large.multiscale
    np.testing.assert_array_equal(np.asarray(large.data[0]), whole)
    assert np.asarray(large.data[0][20:40, 7]).tobytes() == whole[20:40, 7].tobytes()


def test_a_large_anomaly_map_is_computed_into_a_file_that_goes_with_its_layer(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    added_large(monkeypatch)
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_large_maps_are_read_where_they_are_seen(monkeypatch):
    levels = [scene("YXC", (96, 80, 3))]
    layer = Image(levels[0], rgb=True, name="slide")
    picked = Picked.of([layer])
    made = make(nd.fit(picked.field, "meanstd"), picked.field, "maps")
    rendering = made.lazy.operation.rendering
    looking = replace(rendering, method=Far(rendering.method))
    operation = replace(made.lazy.operation, rendering=looking)
    made = replace(made, lazy=replace(made.lazy, operation=operation))
    whole = np.asarray(made.lazy)
    monkeypatch.setattr(layer_values, "EAGER", 1000)
    maps = [x for x in layer_data(made, picked.styles) if isinstance(x, tuple)]
    for i, (data, _, _) in enumerate(maps):
        assert not isinstance(data[0], np.ndarray)
        place = made.lazy.axes.index("C")
        np.testing.assert_array_equal(np.asarray(data[0]), whole.take(i, place))


def test_a_large_map_that_is_cancelled_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(layer_values, "EAGER", 1000)
    layer = Image(scene("YXC", (90, 80, 3)), rgb=True, name="slide")
    picked = Picked.of([layer])
    model = nd.fit(picked.field, "meanstd")
    detector = nd.fit_detector(picked.field, "mahalanobis", on=model)
    made = make(model, picked.field, "anomaly", detector=detector)
    steps = layer_data(made, picked.styles)
    next(steps)
    assert list(tmp_path.iterdir())
    steps.close()
    assert not list(tmp_path.iterdir())


def test_a_large_plane_is_not_computed_to_be_added():
    source = Endless((5000, 5000))
    layer = Image(source, contrast_limits=(0, 255), name="slide")
    model = nd.fit(nd.Field.from_layer(layer), "meanstd")
    source.largest = 0
    nd.add_layers(ViewerModel(), model, layer, ["content", "maps"])
    assert source.largest <= LARGE_TILE**2


def test_channels_last_that_are_no_colours_are_refused_in_words():
    layer = Image(
        np.ones((20, 30, 3), np.uint8), rgb=False, axis_labels=("y", "x", "c")
    )
    with pytest.raises(AxesError, match="open it as RGB, or move that axis"):
        nd.Field.from_layer(layer)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([Image(np.ones((20, 31), np.uint8))], "same shape and type"),
        ([Image(np.ones((20, 30), np.uint16))], "same shape and type"),
        ([Image(np.ones((20, 30, 3), np.uint8), rgb=True)], "colour layers"),
        (
            [Image([np.ones((20, 30), np.uint8), np.ones((10, 15), np.uint8)])],
            "number of levels",
        ),
    ],
)
def test_layers_that_are_no_channels_of_one_image_are_refused(others, words):
    layers = [Image(np.ones((20, 30), np.uint8)), *others]
    with pytest.raises(DataError, match=words):
        nd.Field.from_layers(layers)


# --- saving ---------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".ome.zarr", ".ome.tif"])
def test_a_result_is_saved_with_its_provenance(tmp_path, suffix):
    viewer = ViewerModel()
    layer = viewer.add_image(
        scene("CZYX", (2, 2, 40, 41), "uint16"),
        axis_labels=("c", "z", "y", "x"),
        scale=(1, 2, 0.5, 0.5),
        units=("pixel", "um", "um", "um"),
        name="stack",
    )
    model = nd.fit(nd.Field.from_layer(layer), "meanstd")
    every = ["content", "anomaly", "maps"]
    for result in nd.add_layers(viewer, model, layer, every, alpha=None):
        path = str(tmp_path / f"{result.name}{suffix}")
        data, attributes, _ = result.as_layer_data_tuple()
        assert write_layer(path, data, attributes) == [path]
        back = nd.read(path)
        for lead in back.leads():
            index = {"C": slice(None)} | dict(zip(back.lead_axes, lead, strict=True))
            axes = "".join(result.axis_labels).upper()
            key = tuple(index.get(axis, slice(None)) for axis in axes)
            shown = back.plane(lead)
            np.testing.assert_array_equal(shown if "C" in axes else shown[0], data[key])
        assert dict(zip(back.axes, back.scale, strict=True))["X"] == pytest.approx(0.5)
        assert back.units[-1] == "micrometer"
        kept = nd.read_provenance(path)
        shown = kept.pop("display")
        assert kept == dict(result.metadata[KEY])
        assert shown["contrast_limits"] == list(result.contrast_limits)
        assert shown["colormap"] == result.colormap.name


def test_saving_over_a_file_replaces_it(tmp_path):
    path = str(tmp_path / "x.png")
    for value in (3, 200):
        layer = Image(np.full((20, 30), value, np.uint8))
        data, attributes, _ = layer.as_layer_data_tuple()
        write_layer(path, data, attributes)
    assert nd.read(path).plane().max() == 200


def test_channel_layers_take_the_look_of_channel_layers():
    planes = [scene("YX", (96, 96), "float32", i) * (1 + i) for i in range(4)]
    layers = [
        Image(plane, name=f"well {well} {dye}")
        for plane, (well, dye) in zip(
            planes,
            [("A", "DNA"), ("A", "actin"), ("B", "DNA"), ("B", "actin")],
            strict=True,
        )
    ]
    viewer = ViewerModel()
    for layer in layers:
        viewer.add_layer(layer)
    fields = [nd.Field.from_layers(layers[:2]), nd.Field.from_layers(layers[2:])]
    model = nd.fit(fields, "meanstd_unmasked")
    added = nd.add_layers(viewer, model, layers[:2], ("swap",), donor=layers[2:])
    for new, donor in zip(added, layers[2:], strict=True):
        np.testing.assert_allclose(new.data.mean(), donor.data.mean(), rtol=1e-4)
