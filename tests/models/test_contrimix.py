"""ContriMix as a model, and `affine` beside it: exact in tiles, sound, in words.

Nothing here depends on how good a fit is: models are fitted for a few steps.
"""

from __future__ import annotations

import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache, partial
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import napari_disentangle as nd
from napari_disentangle.audit import seam_score
from napari_disentangle.cli.main import main
from napari_disentangle.compute.device import one_thread
from napari_disentangle.errors import ChannelError, DataError, ModelFileError
from napari_disentangle.image.tiling import Span, tiles
from napari_disentangle.layers import values
from napari_disentangle.model.contrimix.published.lesson import Mixing
from napari_disentangle.model.contrimix.published.losses import LossWeights, mix, total
from napari_disentangle.model.contrimix.published.net import Architecture, ContriMix
from napari_disentangle.model.contrimix.settings import Config
from napari_disentangle.model.remarks import NO_FOREGROUND
from napari_disentangle.model.render import Contents
from napari_disentangle.model.tiles import Bank
from napari_disentangle.pipeline.follow import follow
from napari_disentangle.pipeline.inputs import Inputs
from napari_disentangle.pipeline.output import make
from napari_disentangle.samples import synthetic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_disentangle.model.model import Model
    from napari_disentangle.model.render import Rendering

STEPS = 10
WHOLE = 10**6
# Before anything is learned, normalisation makes the rounding of float32 larger.
LEARNED_STEPS = {(1, "image"): 40}
# Largest difference in standard deviations.
EXACT = 2e-5
# Down-factor and statistics.
USUAL = [(1, "image"), (4, "image"), (1, "frozen")]
VARIANTS = [
    pytest.param(k, s, marks=[pytest.mark.slow] * ((k, s) not in USUAL))
    for k in (1, 2, 4)
    for s in ("image", "frozen")
]


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """As in a run: threads that wait for each other would slow down a busy machine."""
    with one_thread():
        yield


def picture(seed: int, look: synthetic.Look = synthetic.VIOLET, size: int = 200) -> Any:
    return synthetic.render(synthetic.tissue(seed, size), look, 1.0, seed)


@cache
def slide(seed: int, look: synthetic.Look = synthetic.VIOLET, size: int = 200) -> Any:
    return nd.Field(picture(seed, look, size), "YXC", name=f"slide {seed}")


@cache
def odd(dtype: str = "uint8") -> Any:
    """A slide whose sizes are no multiples of anything, darker to one side."""
    light = picture(5, size=301)[:, :277] * np.linspace(0.4, 1, 277)[:, None]
    kind = np.dtype(dtype)
    top = 1.0 if kind.kind == "f" else float(np.iinfo(kind).max)
    return nd.Field((light / 255 * top).astype(kind), "YXC", name="odd")


def pair() -> list[Any]:
    return [slide(0), slide(1, synthetic.ROSE)]


def fitted(down: int = 1, statistics: str = "image") -> Model:
    return _published(down, statistics)  # which keeps one, however it is asked for


@cache
def _published(down: int, statistics: str) -> Model:
    settings = {"preset": "published", "down": down, "statistics": statistics}
    steps = LEARNED_STEPS.get((down, statistics), 2 * STEPS)
    return nd.fit(pair(), "contrimix", steps=steps, **settings)


@cache
def class_wise() -> Model:
    return nd.fit(pair(), "affine", steps=STEPS)


BOTH = [fitted, class_wise]


def donor() -> Any:
    return slide(1, synthetic.ROSE)


def network(model: Model) -> ContriMix:
    """The networks that render on the CPU: the very ones, to be watched."""
    net: ContriMix = model.method._net
    return net


def one_sentence(text: str) -> bool:
    return "\n" not in text and 10 < len(text) < 300


# --- as published ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Architecture()),
        (
            {"attributes": 16, "down": 2, "statistics": "frozen"},
            Architecture(attributes=16, down=2, norm="frozen"),
        ),
    ],
)
def test_the_networks_are_the_published_ones(settings: Any, expected: Any) -> None:
    steps = nd.fit_steps(pair(), "contrimix", steps=1, **settings)
    *_, last = steps
    net: Any = last.progress.net
    assert net.architecture == expected
    known = ContriMix(expected)
    assert {k: v.shape for k, v in net.named_parameters()} == {
        k: v.shape for k, v in known.named_parameters()
    }


@pytest.mark.slow
def test_the_networks_have_as_many_parameters_as_published() -> None:
    net = network(fitted())
    parts = (net.content, net.attribute, net.generator)
    content, attribute, generator = (
        sum(p.numel() for p in part.parameters()) for part in parts
    )
    assert (content, generator) == (1_108, 0)
    assert 2.54e6 < attribute < 2.56e6


def test_by_default_there_are_the_papers_numbers() -> None:
    config = Config()
    assert (config.attributes, config.down, config.mixings) == (4, 1, 3)
    assert config.statistics == "image"


def test_losses_are_weighed_as_published_over_three_mixings() -> None:
    rng = np.random.default_rng(0)
    quarter = rng.random((3, 64, 64)).astype("float32")
    turned = [np.rot90(quarter, i, (1, 2)) for i in range(4)]
    tile = np.mean(turned, axis=0)  # however it is cut and turned, it is the same
    bank = Bank([[tile, tile]], [[tile, tile]])
    lesson = Mixing(Config())
    net = returned(lesson.begin(bank, 0))
    value, _ = lesson.loss(net, bank, (0, 1))
    images = torch.from_numpy(np.stack([tile] * 4))
    published = LossWeights(0.6, 0.1, 0.2, 0.05)
    expected = {
        mixings: total(mix(net, images, torch.zeros(4, mixings, dtype=int)), published)
        for mixings in (2, 3, 4)
    }
    found = {m: abs((v - value).item()) for m, (v, _) in expected.items()}
    assert found[3] < 1e-5
    assert min(found[2], found[4]) > 1e-3


def returned(steps: Any) -> Any:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.slow
def test_frozen_statistics_are_those_of_training() -> None:
    """A normalisation that was never fitted would be none."""
    model = fitted(1, "frozen")
    tensors = model.weights.tensors
    assert model.weights.card["steps"] == 2 * STEPS
    means = [v for k, v in tensors.items() if k.endswith("running_mean")]
    spreads = [v for k, v in tensors.items() if k.endswith("running_var")]
    assert len(means) == len(spreads) == 5
    assert all(np.abs(mean).max() > 1e-3 for mean in means)
    assert all(np.abs(spread - 1).max() > 1e-2 for spread in spreads)


@pytest.mark.parametrize(
    "down", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4))]
)
def test_statistics_of_an_image_are_those_of_instance_normalisation(down: int) -> None:
    model, image = fitted(down), odd("float32")
    net = network(model)
    own, look = model.attribute(image), model.attribute(donor())
    size = net.architecture.n_values * net.architecture.attributes
    render: Any = model.lazy(image, look, own).operation
    found = render.signal(image.plane(()), ())
    absorbance = render._signal(image.plane(()))
    pad = [(-n) % down for n in absorbance.shape[1:]]
    full = torch.nn.functional.pad(absorbance, (0, pad[1], 0, pad[0]), "reflect")
    matrix = torch.from_numpy(look.values[:size]).float()
    matrix = matrix.reshape(1, net.architecture.n_values, -1)
    published = net(full[None], matrix)[0, :, : found.shape[1], : found.shape[2]]
    assert off(found, published) <= EXACT


# --- tiled equals whole ---------------------------------------------------------------
def off(found: Any, expected: Any) -> float:
    """Largest difference, in standard deviations."""
    return float((found - expected).abs().max() / expected.std())


def in_tiles(render: Rendering, size: int) -> torch.Tensor:
    """The signal (C, Y, X) of the first plane, computed tile by tile."""
    field = render.field
    shape = field.plane_shape
    made = torch.full((len(render.index), *shape), torch.nan)
    region = (Span(0, shape[0]), Span(0, shape[1]))
    lead = next(field.leads())
    for tile in tiles(region, shape, size, render.halo):
        plane = field.plane(lead, tile.outer[0].slice, tile.outer[1].slice)
        y, x = (span.slice for span in tile.inner)
        made[:, y, x] = render.signal(plane, lead)[:, *tile.local]
    return made


@pytest.mark.parametrize(("down", "statistics"), VARIANTS)
def test_any_tiling_gives_the_signal_of_the_whole(down: int, statistics: str) -> None:
    model, image = fitted(down, statistics), odd("float32")
    own, look = model.attribute(image), model.attribute(donor())
    render: Any = model.lazy(image, look, own).operation
    whole = render.signal(image.plane(()), ())
    assert whole.isfinite().all()
    for size in (37, 64, 200):
        found = in_tiles(render, size)
        assert off(found, whole) <= EXACT
        assert float((found - whole).square().mean().sqrt() / whole.std()) < 2e-6


@pytest.mark.parametrize(("down", "statistics"), [*VARIANTS, (0, "affine")])
def test_any_tiling_and_any_view_of_eight_bits(down: int, statistics: str) -> None:
    model = fitted(down, statistics) if down else class_wise()
    image, own = odd(), None
    for kind in ("swap", "maps"):
        own = own or model.attribute(image)
        lazy = replace(nd.apply(model, image, kind, donor(), source=own), tile=WHOLE)
        whole = np.asarray(lazy)
        same(np.asarray(replace(lazy, tile=45)), whole)
        y, x = np.s_[33:250:3], np.s_[11:]
        view = (y, x) if kind == "swap" else (slice(None), y, x)
        same(np.asarray(replace(lazy, tile=64)[view]), whole[view])


def same(found: Any, expected: Any) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    difference = np.abs(found.astype(float) - expected.astype(float))
    if expected.dtype.kind == "f":
        assert difference.max() <= EXACT * expected.std()
    else:
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-4


def test_an_anomaly_map_of_it_does_not_depend_on_tiles() -> None:
    model, image = fitted(4), odd("float32")
    detector = nd.fit_detector(slide(0), on=model)
    lazy = detector.lazy(image, model.attribute(image))
    whole = np.asarray(replace(lazy, tile=WHOLE))
    assert np.isfinite(whole).all()
    for tile in (50, 128):
        found = np.asarray(replace(lazy, tile=tile))
        assert np.abs(found - whole).max() <= 1e-4 * whole.std()


# --- a slide --------------------------------------------------------------------------
SIDE, TILE = 2048, 256


@pytest.fixture(scope="module")
def large() -> Any:
    """A slide that is lit from one side, as far as a camera sees it."""
    block = picture(3, size=450)
    light = np.linspace(0.3, 1, SIDE)[:, None]
    data = np.tile(block, (5, 5, 1))[:SIDE, :SIDE] * light
    return nd.Field(data.astype("uint8"), "YXC", name="large")


@pytest.mark.slow
def test_no_seams_on_a_slide_but_with_statistics_of_tiles(large: Any) -> None:
    """Only a row of tiles is computed."""
    model = fitted()
    own, look = model.attribute(large), model.attribute(donor())
    lazy = replace(model.lazy(large, look, own), tile=TILE)
    strip = np.s_[3 * TILE : 4 * TILE]
    render: Any = lazy.operation
    net, n = network(model), 12
    matrix = torch.from_numpy(look.values[:n]).float().reshape(1, 3, 4)
    naive = np.empty_like(large.data[strip])
    exact = np.asarray(lazy[strip])
    shape = large.plane_shape
    region = (Span(strip.start, strip.stop), Span(0, SIDE))
    for tile in tiles(region, shape, TILE, render.halo):
        y, x = (span.slice for span in tile.outer)
        signal = net(render._signal(large.plane((), y, x))[None], matrix)[0]
        shown = 255 * 10 ** -signal[:, *tile.local].clamp(0, 3)
        inner = tile.inner[1].slice
        naive[:, inner] = np.moveaxis(shown.numpy(), 0, -1).round().clip(0, 255)
    source, *both = (np.moveaxis(p, -1, 0) for p in (large.data[strip], exact, naive))
    seen, of_tiles = (seam_score(made, TILE, source) for made in both)
    assert abs(seen - 1) < 0.1
    assert of_tiles > 1.15
    whole = np.asarray(replace(lazy, tile=WHOLE)[strip])
    same(exact, whole)
    with pytest.raises(AssertionError):
        same(naive, whole)


def test_measuring_a_slide_can_be_closed_in_the_middle(large: Any) -> None:
    waits, model = [], fitted(4)
    with closing(model.measuring(large)) as steps:
        before = process_time()
        for step in steps:
            assert step is None
            waits.append(process_time() - before)
            if len(waits) == 100:
                break
            before = process_time()
        start = process_time()
    assert process_time() - start < 1
    # nothing takes so long that a person would have to wait for it
    assert max(waits) < 1


# --- another strength -----------------------------------------------------------------
@contextmanager
def watched(part: torch.nn.Module) -> Iterator[list[Any]]:
    """Modules that convolve, one entry for every time that they do."""
    calls: list[Any] = []
    first = next(m for m in part.modules() if isinstance(m, torch.nn.Conv2d))
    hook = first.register_forward_hook(lambda module, *_: calls.append(module))
    try:
        yield calls
    finally:
        hook.remove()


@pytest.mark.parametrize("down", [1, 4])
def test_another_strength_looks_for_content_no_more(down: int) -> None:
    model, image = fitted(down), odd()
    own, look = model.attribute(image), model.attribute(donor())
    output = make(model, image, "swap", look, source=own).remembering()
    output = replace(output, lazy=replace(output.lazy, tile=128))
    with watched(network(model).content) as calls:
        first = np.asarray(output.lazy)
        assert len(calls) == output.lazy.parts() == 9
        again = np.asarray(output.at_strength(0.4).lazy)
        assert len(calls) == 9
        fresh = make(model, image, "swap", look, 0.4, source=own).lazy
        assert again.tobytes() == np.asarray(replace(fresh, tile=128)).tobytes()
        assert len(calls) == 18
    assert (again != first).any()


def test_what_is_written_or_computed_once_keeps_no_content() -> None:
    lazy: Any = nd.apply(fitted(), odd(), "swap", donor())
    assert lazy.operation.contents is None
    assert make(class_wise(), odd(), "content").remembering().kind == "content"


def test_contents_stay_under_their_limit() -> None:
    one = torch.zeros(10)
    contents, made = Contents(3 * one.nbytes), []

    def ask(key: str, content: torch.Tensor = one) -> None:
        contents.of(key, lambda: made.append(key) or content)

    for key in "abcabcd":  # a is the one that was asked for longest ago
        ask(key)
    assert made == ["a", "b", "c", "d"]
    for key in "bcda":
        ask(key)
    assert made == ["a", "b", "c", "d", "a"]
    ask("larger than all", torch.zeros(100))
    ask("larger than all", torch.zeros(100))
    assert made[5:] == ["larger than all"] * 2


def test_contents_too_large_to_be_kept_change_nothing() -> None:
    model, image = fitted(), odd()
    output = make(model, image, "swap", donor()).remembering()
    operation: Any = output.lazy.operation
    small = replace(operation, contents=Contents(1000))
    lazy = replace(output.lazy, operation=small)
    assert np.asarray(lazy).tobytes() == np.asarray(output.lazy).tobytes()


def test_threads_share_contents_and_processes_do_not() -> None:
    contents = Contents(50 * 40)

    def ask(number: int) -> float:
        key = number * 7919 % 97
        return float(contents.of(key, lambda: torch.full((10,), float(key)))[0] - key)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(20_000))) == {0.0}
    back = pickle.loads(pickle.dumps(contents))
    made = []
    back.of(0, lambda: made.append(0) or torch.zeros(1))
    assert made == [0]


# --- sentences ------------------------------------------------------------------------
def grey() -> Any:
    return nd.Field(picture(0)[..., 1], "YX", modality="brightfield", name="grey")


def cells() -> Any:
    return nd.Field(255 - picture(0)[..., 1], "YX", name="cells")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    models = {model().name: model() for model in BOTH}
    paths = {name: folder / f"{name}.safetensors" for name in models}
    for name, path in paths.items():
        models[name].save(path)
    return paths


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"preset": "best"}, "preset 'best' must be one of"),
        ({"statistics": "tile"}, "statistics 'tile' must be one of"),
        ({"down": 3}, "down 3 must be one of"),
        ({"attributes": 0}, "attributes 0 must be a whole number from 1 to 64"),
        ({"attributes": 65}, "attributes 65 must be a whole number"),
        ({"attributes": 2.5}, "attributes 2.5 must be"),
        ({"attributes": "4"}, "attributes '4' must be"),
        ({"mixings": 17}, "mixings 17 must be a whole number from 1 to 16"),
        ({"depth": 3}, "no such setting"),
    ],
)
def test_a_bad_setting_is_one_sentence(settings: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        nd.fit(pair(), "contrimix", **settings)
    assert one_sentence(str(error.value))


def test_what_is_not_fitted_yet_is_said_in_the_console_and_by_a_recipe() -> None:
    recipe = nd.Recipe(
        model="contrimix", config={"preset": "published"}, outputs=("content",)
    )
    for wrong in (
        lambda: nd.fit(pair(), "contrimix"),
        lambda: list(follow(recipe, Inputs([slide(0)]))),
    ):
        with pytest.raises(DataError, match=r"not learned anything yet: fit it") as e:
            wrong()
        assert one_sentence(str(e.value))


def test_what_is_not_fitted_yet_is_said_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    args = ["apply", str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as left:
        main([*args, "--model", "contrimix", "--set", "preset=published"])
    assert left.value.code
    said = capsys.readouterr().err.strip()
    assert "has not learned anything yet" in said
    assert one_sentence(said)


def test_the_command_line_fits_it_and_gives_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    paths = [str(tmp_path / f"{seed}.png") for seed in (0, 1)]
    for path, image in zip(paths, pair(), strict=True):
        Image.fromarray(image.data).save(path)
    out = str(tmp_path / "m.safetensors")
    settings = ["--set", "preset=published", "--set", "down=2", "--steps", "1"]
    swapped = ["apply", paths[0], "--donor", paths[1], "--output", "swap"]
    for args in (
        ["fit", *paths, "--out", out, "--model", "contrimix", *settings],
        [*swapped, "--model", out, "-o", str(tmp_path / "a"), "--device", "cpu"],
        [
            "apply",
            "--recipe",
            str(tmp_path / "a/0_swap.png"),
            "-o",
            str(tmp_path / "b"),
        ],
    ):
        with pytest.raises(SystemExit) as left:
            main(args)
        assert not left.value.code
    assert capsys.readouterr().out.splitlines()[0] == out
    first, again = ((tmp_path / f / "0_swap.png").read_bytes() for f in "ab")
    assert first == again
    shown = np.asarray(nd.read(tmp_path / "a/0_swap.png").data)
    fields = [nd.read(path) for path in paths]
    np.testing.assert_array_equal(shown, nd.load(out).swap(*fields))


def test_tiles_are_as_small_as_they_have_to_be_and_no_smaller() -> None:
    """Of 200 pixels there are nine tiles of 64, which are fewer than plenty."""
    model = nd.fit(slide(0), "contrimix", steps=1)
    assert model.attribute(slide(0)).found


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (lambda **k: nd.fit(cells(), "contrimix", **k), DataError, "works on brightf"),
        (lambda **k: nd.fit(grey(), "contrimix", **k), DataError, "3 channels toge"),
        (
            lambda **k: nd.fit(slide(0, size=100), "contrimix", **k),
            DataError,
            "not 4 tiles of 64 x 64",
        ),
        (
            lambda **k: nd.fit([slide(0), grey()], "contrimix", **k),
            ChannelError,
            "needs",
        ),
    ],
)
def test_images_that_it_cannot_learn_from(wrong: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words) as error:
        wrong(steps=1)
    assert one_sentence(str(error.value))


@pytest.mark.parametrize("steps", [None, 1])
@pytest.mark.parametrize(
    "settings", [{"attributes": 8}, {"down": 2}, {"statistics": "frozen"}]
)
def test_weights_for_other_settings_are_refused(
    files: Any, settings: Any, steps: Any
) -> None:
    with pytest.raises(ValueError, match="with other settings") as error:
        nd.fit(pair(), files["contrimix"], steps=steps, **settings)
    assert one_sentence(str(error.value))


def test_weights_for_other_channels_are_refused(files: Any) -> None:
    for model in BOTH:
        for wrong in (
            partial(model().content, grey()),
            partial(nd.fit, grey(), files[model().name], steps=1),
        ):
            with pytest.raises(ChannelError, match=r"'grey' has channels") as error:
                wrong()
            assert one_sentence(str(error.value))


DAMAGE = {
    "none": lambda t: {},
    "one missing": lambda t: {k: v for k, v in t.items() if k != next(iter(t))},
    "renamed": lambda t: {f"x{k}": v for k, v in t.items()},
    "five channels": lambda t: (
        t | {"content.layers.0.weight": np.zeros((8, 5, 3, 3), "float32")}
    ),
    "flat": lambda t: t | {"content.layers.0.weight": np.zeros(5, "float32")},
    "other values": lambda t: {k: v + 1 for k, v in t.items()},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused(tmp_path: Path, files: Any, damage: str) -> None:
    with safe_open(files["contrimix"], framework="numpy") as file:
        header = dict(file.metadata())
    path = tmp_path / "m.safetensors"
    save_file(DAMAGE[damage](load_file(files["contrimix"])), path, metadata=header)
    with pytest.raises(ModelFileError, match="does not hold a whole model") as error:
        nd.load(path)
    assert one_sentence(str(error.value))


# --- odd images -----------------------------------------------------------------------
def spoilt(share: float) -> Any:
    data = odd("float32").data.copy()
    lost = np.random.default_rng(0).random(data.shape[:2]) < share
    data[lost] = np.nan
    data[:5] = np.inf
    return replace(odd("float32"), data=data)


@pytest.mark.parametrize("model", BOTH)
def test_pixels_that_are_no_numbers_stay_so_and_spoil_no_others(model: Any) -> None:
    field = spoilt(0.05)
    known = np.isfinite(field.data).all(-1)
    own = model().attribute(field)
    assert np.isfinite(own.values).all()
    assert any("NaN or infinite" in words for words in own.status)
    shown = model().swap(field, donor())
    assert np.isfinite(shown[known]).all()
    assert not np.isfinite(shown[np.isnan(field.data).any(-1)]).any()


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize(
    "data",
    [
        np.full((1, 1, 3), 7, "uint8"),
        np.full((70, 33, 3), 255, "uint8"),
        np.zeros((40, 44, 3), "uint16"),
        np.full((40, 44, 3), np.nan, "float32"),
    ],
    ids=["one pixel", "white", "black", "NaN"],
)
def test_blank_images_come_back_and_say_so(model: Any, data: Any) -> None:
    field = nd.Field(data, "YXC", name="blank")
    for shown in (model().content(field), model().swap(field, donor())):
        assert shown.tobytes() == data.tobytes()
    assert NO_FOREGROUND in model().inspect(field)
    assert model().encode(field).shape[1:] == field.grid_shape
    with pytest.raises(DataError, match="no foreground") as error:
        model().swap(slide(0), field)
    assert one_sentence(str(error.value))


@pytest.mark.parametrize("size", [(1, 90), (90, 1), (5, 7)])
@pytest.mark.parametrize("model", [*BOTH, lambda: fitted(4)])
def test_narrow_images_are_rendered(model: Any, size: Any) -> None:
    field = nd.Field(picture(7)[: size[0], : size[1]].copy(), "YXC", name="narrow")
    shown = model().swap(field, donor())
    assert (shown.shape, shown.dtype) == (field.data.shape, field.dtype)
    maps = model().encode(field)
    assert np.isfinite(maps).all()
    assert maps.shape[1:] == size


@pytest.fixture(scope="module")
def stack() -> Any:
    """Three planes in as many looks; the middle one is blank."""
    planes = [picture(8, size=90), np.full((90, 90, 3), 240, "uint8")]
    planes.append(picture(9, synthetic.ROSE, 90))
    return nd.Field(np.stack(planes)[:, :, :81], "ZYXC", name="stack")


@pytest.mark.parametrize("pool", ["image", "stack", "frame"])
@pytest.mark.parametrize("model", BOTH)
def test_stacks_are_measured_plane_by_plane_or_together(
    model: Any, stack: Any, pool: Any
) -> None:
    own = model().attribute(stack, pool)
    assert own.values.shape[:-1] == ((3,) if pool == "frame" else ())
    lazy = nd.apply(model(), stack, "swap", donor(), source=own)
    whole = np.asarray(replace(lazy, tile=WHOLE))
    same(np.asarray(replace(lazy, tile=33)), whole)
    if pool != "frame":
        return
    assert whole[1].tobytes() == stack.data[1].tobytes()  # a constant plane
    for z in (0, 2):
        alone = nd.Field(stack.data[z], "YXC")
        same(whole[z], model().swap(alone, donor()))


def test_a_stack_has_the_statistics_of_all_its_planes(stack: Any) -> None:
    """One attribute for all is that of the planes side by side, as far as maps see."""
    model = fitted()
    planes = replace(stack, data=stack.data[[0, 0]])
    one = replace(stack, data=stack.data[:1])
    values = [model.attribute(image).values[12:] for image in (planes, one)]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)


@pytest.mark.parametrize("model", BOTH)
def test_sixteen_bits_look_as_eight_do(model: Any) -> None:
    deep = replace(odd(), data=odd().data.astype("uint16") * 257, full_scale=65535.0)
    shown, eight = (model().swap(field, donor()) for field in (deep, odd()))
    assert shown.dtype == np.uint16
    assert np.abs(shown / 257 - eight).max() <= 1.01


def test_a_pyramid_has_levels_of_whole_numbers() -> None:
    pytest.importorskip("napari")
    from napari.components import ViewerModel
    from napari.layers import Image

    model, bright = fitted(4), odd().data[:300, :276]
    levels = [bright, bright[::2, ::2], bright[::4, ::4]]
    layer = Image(levels, rgb=True, multiscale=True, name="slide")
    own = model.attribute(nd.Field.from_layer(layer))
    content, swap = nd.add_layers(
        ViewerModel(), model, layer, ["content", "swap"], donor(), source=own
    )
    for made in (content, swap):
        shapes = [level.shape for level in made.data]
        assert shapes == [level.shape for level in levels]
        first = np.asarray(made.data[0])
        for level in map(np.asarray, made.data[1:]):
            assert level.dtype == np.uint8
            assert abs(level.mean() - first.mean()) < 2
            y, x = level.shape[:2]
            blocks = first.reshape(y, 300 // y, x, 276 // x, 3)
            assert np.abs(level - blocks.mean(axis=(1, 3))).max() <= 1


def test_a_large_plane_is_computed_into_a_file(
    tmp_path: Path, monkeypatch: Any
) -> None:
    pytest.importorskip("napari")
    from napari.components import ViewerModel
    from napari.layers import Image

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    layer = Image(slide(0).data, rgb=True, name="slide")
    viewer, more = ViewerModel(), (["swap"], donor())
    (small,) = nd.add_layers(viewer, fitted(), layer, *more)
    whole = np.asarray(small.data)
    monkeypatch.setattr(values, "EAGER", 1000)
    (large,) = nd.add_layers(viewer, fitted(), layer, *more)
    assert large.multiscale
    np.testing.assert_array_equal(np.asarray(large.data[0]), whole)


# --- saved, and fitted again ----------------------------------------------------------
def saved(model: Model, path: Path) -> bytes:
    model.save(path)
    return path.read_bytes()


# Settings, and the size of images that are large enough for them.
MODELS = [("contrimix", 200), pytest.param("affine", 100, marks=pytest.mark.slow)]


@pytest.mark.parametrize("model", [*BOTH, lambda: fitted(1, "frozen")])
def test_a_saved_model_is_the_same(tmp_path: Path, model: Any) -> None:
    model().save(tmp_path / "m.safetensors")
    back = nd.load(tmp_path / "m.safetensors")
    assert (back.hash, back.config) == (model().hash, model().config)
    assert dict(back.weights.card) == dict(model().weights.card)
    kept, look = (one.reference.values.tobytes() for one in (back, model()))
    assert kept == look
    assert back.content(odd()).tobytes() == model().content(odd()).tobytes()
    assert back.encode(odd()).tobytes() == model().encode(odd()).tobytes()


@pytest.mark.parametrize(("name", "size"), MODELS)
def test_the_seed_decides_every_byte(tmp_path: Path, name: str, size: int) -> None:
    state, images = torch.get_rng_state(), [slide(seed, size=size) for seed in (0, 1)]
    first, again, other = (
        saved(nd.fit(images, name, seed=seed, steps=2), tmp_path / "m.safetensors")
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("name", "size"), MODELS)
def test_forgetting_is_as_if_it_had_never_been_seen(
    tmp_path: Path, name: str, size: int
) -> None:
    a, b, c = (slide(seed, size=size) for seed in range(3))
    how = {"seed": 3, "steps": 1}
    model = nd.fit([[a, b], [c]], name, **how)
    without = nd.fit_without(model, [a, b, c], b)
    never = nd.fit([[a], [c]], name, **how)
    paths = [tmp_path / f"{letter}.safetensors" for letter in "ab"]
    assert saved(without, paths[0]) == saved(never, paths[1])


@pytest.mark.parametrize("name", ["contrimix", "affine"])
def test_fitting_goes_on_from_a_saved_model(files: Any, name: str) -> None:
    before = nd.load(files[name])
    *_, step = nd.fit_steps([slide(2), slide(3)], files[name], steps=1)
    model = step.model()
    assert model.config == before.config
    card = model.weights.card
    assert card["began as"] == before.weights.hash
    assert [i["name"] for i in card["seen before"]] == ["slide 0", "slide 1"]
    part = {"contrimix": "content.layers.0.weight", "affine": "nets.0.fine.0.weight"}
    old, new = (np.asarray(m.weights.tensors[part[name]]) for m in (before, model))
    assert 0 <= np.abs(new - old).max() < 0.01
