"""Print hashes of what the package makes of small images: compare before and after."""

import argparse
import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before anything that starts threads

import dask.array as da
import numpy as np

import napari_disentangle as nd

Found = Iterator[tuple[str, Any]]
# Of metadata: places, the version, times, and what hangs on the names of settings.
DROPPED = {"path", "software", "seconds", "detector_hash", "detector_config"}
LEAVING, QUICK = {"riad", "intensity"}, {"steps": 3, "bank": 200, "offsets": 1}
Inputs = dataclasses.make_dataclass("Inputs", ["images", "donors", "normals"])


def digest(value: Any) -> str:
    """Hash of anything: arrays by type, shape and bytes, files by bytes."""

    def known(one: Any) -> Any:
        if isinstance(one, Path):
            files = [file for file in [one, *sorted(one.rglob("*"))] if file.is_file()]
            return [np.fromfile(file, np.uint8) for file in files]
        if hasattr(one, "__array__"):
            whole = np.asarray(one)
            return (
                whole.dtype.str,
                whole.shape,
                hashlib.sha1(whole.tobytes()).hexdigest(),
            )
        return {f.name: getattr(one, f.name) for f in dataclasses.fields(one)}

    text = json.dumps(value, default=known)
    read = json.loads(
        text, object_hook=lambda d: {k: v for k, v in d.items() if k not in DROPPED}
    )
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:16]


def image(seed: int, axes: str = "CYX", gain: float = 1, **more: Any) -> nd.Field:
    """Spots in random places: a slide as a pyramid, a plate of two channels, planes."""
    shapes = {"YXC": (160, 200), "CYX": (128, 160), "ZYX": (5, 80, 96)}
    shape = shapes.get(axes, (2, 2, 64, 72))
    rng, grid, seen = (
        np.random.default_rng(seed),
        np.indices(shape),
        np.zeros((2, *shape)),
    )
    for i, centre in enumerate(rng.uniform(0, shape, (40, len(shape)))):
        offset = (grid.T - centre).T
        edge = np.sqrt((offset**2).sum(axis=0)) - rng.uniform(5, 10)
        seen[i % 2] = np.maximum(seen[i % 2], 1 / (1 + np.exp(1.5 * edge)))
    seen *= gain * (1 + 0.3 * np.sin(0.7 * grid).prod(axis=0))
    noise, name = rng.normal(0, 1, (3, *shape)), f"{axes} {seed}"
    if axes == "YXC":
        stains = np.tensordot(seen, [[0.42, 0.45, 0.2], [0.01, 0.05, 0.02]], (0, 0))
        pixels = (240 * 10**-stains + np.moveaxis(noise, 0, -1)).astype(np.uint8)
        return nd.Field([pixels[::n, ::n] for n in (1, 2, 4)], axes, name=name, **more)
    pixels = (400 + 3000 * seen + 20 * noise[:2]).astype(np.uint16)
    pixels = pixels if "C" in axes else pixels[0]
    return nd.Field(pixels, axes, scale=(0.5,) * pixels.ndim, name=name, **more)


SLIDES = tuple(image(i, "YXC", gain) for i, gain in enumerate((1, 1.4, 0.8)))
PLATES = tuple(image(i, "CYX", gain) for i, gain in enumerate((1, 2.5, 0.7)))
STACK, FILM, ODD = image(4, "ZYX"), image(5, "TZYX"), image(9)
ODD.data[1, 40:60, 50:75] += 5000
MARKED = image(8, where=np.indices((128, 160))[1] > 60)
IMAGES = {"brightfield": SLIDES, "fluorescence": PLATES}


def catalogue() -> Found:
    """What there is to choose from, and what images say of themselves."""
    yield from nd.zoo().items()
    for name, entry in {**nd.models(), **nd.detectors()}.items():
        settings = [[f.name, f.default] for f in dataclasses.fields(entry.config)]
        if name not in LEAVING:
            yield name, [dataclasses.replace(entry, config=None), settings]
    for one in (*SLIDES, *PLATES, ODD, MARKED, STACK, FILM):
        yield one.name, [one.describe(), one, one.mask(next(one.leads()))]


def of_model(model: nd.Model, first: nd.Field, second: nd.Field) -> Found:
    """All that a model makes, before and after it was saved."""
    look, both = model.attribute(first), model.attribute([first, second], "batch")
    yield "look", [look, both, model.reference, model.inspect(first)]
    yield "json", nd.Attribute.from_json(look.to_json()).to_json()
    yield "content, swap", [model.content(first), model.swap(first, second, 0.5)]
    yield "encode", model.encode(first)
    for kind in ("content", "swap", "maps"):
        lazy = nd.apply(model, first, kind, donor=second, strength=0.8)
        yield kind, [lazy.levels, lazy.channel_names, lazy[..., 3:9, 1:3]]
        yield f"{kind} provenance", lazy.provenance
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        yield "file", [model.save(path).hash, path, nd.load(path).content(first)]


def models() -> Found:
    """Every model as it comes, and after a few steps where it learns; forgetting."""
    jobs: list[Any] = [(n, k, {}) for n, m in nd.models().items() for k in m.modalities]
    jobs += [(name, name.partition("-")[2], {}) for name in nd.zoo()]
    published = {"preset": "published", "attributes": 2, "mixings": 2, "steps": 3}
    jobs += [(n, k, {"steps": 3}) for n in ("affine", "contrimix") for k in IMAGES]
    jobs += [("contrimix", "brightfield", published)]
    for name, kind, how in jobs:
        model, label = nd.fit(IMAGES[kind], name, seed=0, **how), f"{name} {kind} {how}"
        for what, value in of_model(model, *IMAGES[kind][:2]):
            yield f"{label}/{what}", value
        if how:
            without = nd.fit_without(model, IMAGES[kind], IMAGES[kind][2])
            yield f"{label}/weights", [model.weights, without.weights]
        elif kind == "fluorescence":
            model = nd.fit([FILM], name)
            looks = [model.attribute(FILM, pool) for pool in ("stack", "frame")]
            shown = [model.render(FILM, model.reference, look) for look in looks]
            yield f"{label}/film", [looks, shown]


def normal(name: str, images: Any, on: nd.Model | None = None) -> nd.Detector:
    """A detector with settings with which it is quick."""
    known = {f.name for f in dataclasses.fields(nd.detectors()[name].config)}
    return nd.fit_detector(images, name, on, **{k: QUICK[k] for k in known & {*QUICK}})


def detectors() -> Found:
    """Every detector on plates without their look; one on other images too."""
    on, names = nd.fit(PLATES), [name for name in nd.detectors() if name not in LEAVING]
    jobs: list[Any] = [(name, PLATES, ODD, on) for name in names]
    jobs += [("pca", n, n[0], None) for n in (SLIDES, [STACK], [MARKED], [ODD])]
    for name, normals, one, model in jobs:
        detector, label = normal(name, normals, model), f"{name} {one.name}"
        score = detector.score(one)
        labels, table = score.regions(alpha=0.05, min_size=8)
        yield f"{label}/learned", [detector.hash, detector.diameter, detector.smoothed]
        yield f"{label}/score", [score, score.p, score.extent]
        yield f"{label}/regions", [labels, table, score.limits(table)]
        for kind in ("anomaly", "expected")[: 1 + nd.detectors()[name].expects]:
            lazy = nd.apply(detector.on, one, kind, detector=detector)
            yield f"{label}/{kind}", [lazy, lazy.provenance]


def recipes() -> Found:
    """Recipes that are followed, with and without normal images and a detector."""
    usual, given = ("content", "swap", "anomaly", "maps"), normal("context", PLATES)
    jobs: list[Any] = [
        ({"outputs": usual, "strength": 0.5}, [[ODD], PLATES[:1], []], None),
        ({"outputs": usual, "pool": "batch"}, [PLATES[:2], [ODD], [MARKED]], None),
        ({"outputs": ("anomaly",), "model": "mk"}, [[ODD], [], PLATES], None),
        ({"outputs": ("expected",), "model": "identity"}, [[ODD], [], []], given),
    ]
    for i, (how, inputs, detector) in enumerate(jobs):
        for part in nd.follow(nd.Recipe(**how), Inputs(*inputs), detector):
            if hasattr(part, "lazy"):
                name = f"{i} {part.image.name} {part.kind}"
                yield name, [part.lazy, part.status, part.lazy.provenance]


def files() -> Found:
    """Files that are written and read again, and a run from files to files."""
    slide, plate = nd.apply(nd.fit(SLIDES, "mk"), SLIDES[0]), nd.fit(PLATES, "mk")
    names = {f"slide{suffix}": slide for suffix in (".ome.zarr", ".ome.tif", ".png")}
    names["maps.ome.tif"] = nd.apply(plate, PLATES[0], "maps")
    with tempfile.TemporaryDirectory() as folder:
        for name, lazy in names.items():
            path = Path(folder, name)
            *_, _ = nd.write(lazy, path)
            yield name, [nd.read(path), nd.read_provenance(path)]
            if "tif" not in name:  # these hold a number of their own
                yield f"{name} bytes", path
        known = {"axes": "YXC", "modality": "brightfield", "channels": ["R", "G", "B"]}
        source = {"name": "slide", "path": f"{folder}/slide.png", "full_scale": 255}
        recipe = {"images": [source | known], "outputs": ["content", "maps"]}
        for path in nd.run(nd.Recipe.from_json(recipe), folder):
            if isinstance(path, Path):
                yield f"run {path.name}", [nd.read(path), nd.read_provenance(path)]


def rest() -> Found:
    """Augmentation, a report, steps, and an image of dask arrays."""
    model = nd.fit(PLATES, "mk")
    yield "augment", list(nd.augment(model, PLATES, "abc", copies=2, seed=1))
    yield "report", nd.report(model, (*PLATES, ODD), "aabb", "abab")
    shares = [x for x in nd.fit_detector_steps([*PLATES, ODD]) if isinstance(x, float)]
    steps = nd.fit_steps([PLATES[:2], PLATES[2]], seed=1, steps=2)
    yield "steps", [shares, [step.losses for step in steps]]
    lazy = dataclasses.replace(PLATES[0], data=da.from_array(PLATES[0].data, chunks=50))
    yield "dask", nd.fit([lazy, ODD]).content(lazy)


SECTIONS = {f.__name__: f for f in (catalogue, models, detectors, recipes, files, rest)}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=SECTIONS)
    for section in parser.parse_args().only:
        for name, value in SECTIONS[section]():
            print(f"{section}/{name}  {digest(value)}", flush=True)
