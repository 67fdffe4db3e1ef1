"""The command line: the same recipes as the widget and the console, on files.

torch is loaded only by commands that compute, Qt and napari only by ``demo``.
"""

import json
import logging
import platform
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import MISSING, fields
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, cast

import typer

import napari_disentangle as nd
import napari_disentangle.cli.options as opt
from napari_disentangle.cli.ask import ask
from napari_disentangle.cli.batch import batch
from napari_disentangle.cli.ending import SOME_FAILED, ending
from napari_disentangle.cli.objects import objects
from napari_disentangle.detector.export import write_csv, write_geojson
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.files.registry import Done, suffix_of
from napari_disentangle.files.text import check_place
from napari_disentangle.model.checkpoint import check_new
from napari_disentangle.model.fit import STEPS
from napari_disentangle.model.registry import DEFAULT
from napari_disentangle.pipeline.follow import Failed, Step
from napari_disentangle.pipeline.kinds import ANOMALY

NAME = "napari-disentangle"
BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
CANNOT = 2

app = typer.Typer(
    name=NAME,
    help="Pull microscopy images apart into content and look.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


app.add_typer(batch)
app.command()(objects)
app.command()(ask)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; what a person must act on is one sentence on stderr."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # said by us
    try:
        app(args=args, prog_name=NAME)
    except (DisentangleError, ValueError, OSError) as error:
        print(f"{NAME}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(CANNOT)


# --- what there is --------------------------------------------------------------------
@app.command()
def models() -> None:
    """List models and anomaly detectors with their settings, and trained models."""
    for title, entries in (("Models", nd.models()), ("Detectors", nd.detectors())):
        rows = [
            (name, _settings(e.config), ", ".join(e.modalities), e.description)
            for name, e in entries.items()
        ]
        header = (title, "settings", "images", "what it does")
        print("\n".join(_table([header, *rows])), end="\n\n")
    cards = [(name, _card(card)) for name, card in nd.zoo().items()]
    print("\n".join(_table([("Trained", "on what, and what it is not for"), *cards])))


def _card(card: dict[str, Any]) -> str:
    """A trained model's card in one line."""
    return f"{', '.join(card['trained on'])}; not for {card['not for']}"


def _settings(config: type[Any]) -> str:
    shown = (
        f.name if f.default is MISSING else f"{f.name}={f.default}"
        for f in fields(config)
    )
    return " ".join(shown) or "-"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


@app.command()
def info(
    paths: Annotated[list[Path], typer.Argument(help="Images to look at.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what images are, what is odd about them, and how they were made.

    A line for each, and what else there is to say below it.
    """
    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            found.append(_describe(path))
        except DisentangleError as error:
            if len(paths) == 1:
                raise
            print(f"{path}: {error}", file=sys.stderr)
        else:
            if not as_json:
                print("\n".join(_lines(found[-1])), flush=True)
    if as_json:
        print(json.dumps(found, indent=2))
    if len(found) < len(paths):
        raise typer.Exit(1)


def _describe(path: Path) -> dict[str, Any]:
    from napari_disentangle.model.fit import unfitted

    field = opt.opened({}, path)
    model = unfitted(field, next(iter(nd.models())))
    return {
        "path": str(path),
        "summary": field.describe(),
        "axes": field.axes,
        "shape": list(field.shape),
        "dtype": field.dtype.name,
        "modality": field.modality,
        "channels": list(field.channel_names),
        "scale": list(field.scale),
        "units": list(field.units),
        "status": list(model.inspect(field)),
        "provenance": nd.read_provenance(field.path or path),
    }


def _lines(one: dict[str, Any]) -> Iterator[str]:
    names = f"; {', '.join(one['channels'])}" if len(one["channels"]) > 1 else ""
    yield f"{one['path']}: {one['summary']}{names}"
    yield from (f"  {status}" for status in one["status"])
    origin = one["provenance"]
    if origin:
        model = origin.get("recipe", {}).get("model", "a model")
        yield f"  synthetic: {origin['output']} of {origin['image']!r} by {model}"
        yield f"  made by {origin['software']}, model hash {origin['model_hash']}"


@app.command()
def doctor() -> None:
    """Say which versions are there, and which device would be used."""
    from napari_disentangle.compute.device import list_devices, pick, why_no_gpu

    chosen = pick("auto")
    rows = [
        (NAME, nd.__version__),
        ("python", f"{platform.python_version()} on {platform.platform()}"),
        *((name, metadata.version(name)) for name in ("torch", "numpy", "zarr")),
        ("napari", _version("napari") or f"not installed: {_cure('napari')}"),
        ("Qt", _binding() or f"not installed: {_cure('Qt')}"),
        ("device", f"{chosen} ({list_devices()[chosen]})"),
    ]
    reason = why_no_gpu()
    print("\n".join(_table([*rows, ("no GPU", reason)] if reason else rows)))


def _version(distribution: str) -> str:
    return metadata.version(distribution) if find_spec(distribution) else ""


def _binding() -> str:
    """The Qt binding that is installed, found without importing it."""
    there = (name for name in BINDINGS if find_spec(name))
    return next((f"{name} {_version(name)}" for name in there), "")


def _cure(what: str) -> str:
    return f"{what} is needed for windows: pip install 'napari[pyqt6]'"


# --- what is done ---------------------------------------------------------------------
@app.command()
def fit(
    images: opt.Learn,
    out: opt.Out,
    model: opt.Begin = DEFAULT,
    setting: opt.Setting = None,
    steps: opt.Steps = STEPS,
    seed: opt.FitSeed = 0,
    device: opt.FitDevice = "auto",
    axes: opt.Axes = None,
    modality: opt.ImageKind = None,
    full_scale: opt.FullScale = None,
) -> None:
    """Let a model learn from images, and save it; say whether they were enough."""
    check_new(out)
    fields = [
        opt.opened(opt.given(axes=axes, modality=modality, full_scale=full_scale), path)
        for path in images
    ]
    config = opt.settings_of(model, setting)
    for step in nd.fit_steps(fields, model, seed, steps, device, **config):
        _show(f"step {step.progress.index} of {steps}: {step.progress.verdict}")
    _show("")
    step.model().save(out)
    print(f"{out}: {step.progress.verdict}", file=sys.stderr)
    print(out)


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Save pictures here and close, instead of staying open."),
    ] = None,
) -> None:
    """Open napari with a sample and its three layers."""
    for what, there in (("napari", find_spec("napari")), ("Qt", _binding())):
        if not there:
            raise DataError(f"the demo cannot open a window: {_cure(what)}")
    # By name: windows stand above the command line, which must run without them.
    import_module("napari_disentangle._qt.demo").run(folder)


@app.command()
def apply(
    folder: opt.Folder,
    inputs: opt.Inputs = None,
    model: opt.Model = None,
    setting: opt.Setting = None,
    output: opt.Output = None,
    donor: opt.Donor = None,
    donor_attribute: opt.DonorAttribute = None,
    reference: opt.Reference = None,
    normal: opt.Normal = None,
    strength: opt.Strength = None,
    pool: opt.Pooling = None,
    axes: opt.Axes = None,
    modality: opt.ImageKind = None,
    full_scale: opt.FullScale = None,
    where: opt.Where = None,
    detector: opt.Detector = None,
    detector_setting: opt.DetectorSetting = None,
    cell: opt.Cell = None,
    seed: opt.Seed = None,
    device: opt.Device = None,
    suffix: opt.Suffix = None,
    skip_existing: opt.SkipExisting = False,
    recipe: opt.RecipeFile = None,
    save_recipe: opt.SaveRecipe = None,
) -> None:
    """Write content-only, swapped and anomaly images, content maps, and objects."""
    if suffix is not None:
        suffix_of(Path(f"image{suffix}"))
    flags = opt.given(axes=axes, modality=modality, full_scale=full_scale, where=where)
    start = opt.load_recipe(recipe) if recipe else nd.Recipe()
    plan = opt.amend(
        start,
        opt.method(model, setting, start),
        opt.scorer(detector, detector_setting, normal, start),
        opt.images(flags, inputs, normal),
        opt.donors(flags, donor, donor_attribute),
        opt.given(outputs=output, strength=strength, pool=pool),
        opt.given(cell=cell, seed=seed, device=device),
    )
    if not plan.images:
        raise DataError("no image is given: name at least one, or use --recipe")
    if not (recipe or output):
        plan = opt.amend(plan, opt.possible_outputs(plan))
    if reference:
        plan = opt.amend(plan, {"reference": opt.look(plan, flags, reference)})
    if save_recipe:
        plan.save(save_recipe)
    _write(plan, folder, suffix, skip_existing)


def _write(
    plan: nd.Recipe, folder: Path, suffix: str | None, skip_existing: bool
) -> None:
    """Follow a recipe: paths go to stdout, progress and statuses to stderr."""
    said, failed = set(), []
    steps = nd.run(plan, folder, suffix, skip_existing)
    cure = "the same with --skip-existing goes on"
    with ending(cast("Generator[Step | Done | Path | Failed]", steps), cure) as parts:
        for part in parts:
            if isinstance(part, Failed):
                failed.append((part.image, part.reason))
            elif isinstance(part, Path):
                _show("")
                print(part, flush=True)
                origin = nd.read_provenance(part)
                said |= {(origin["image"], one) for one in origin.get("status", ())}
            else:
                _show(_words(part))
    alike = ("donor ", "normal ")  # said of every image, and true of none of them
    lines = {s if s.startswith(alike) else f"{image}: {s}" for image, s in said}
    print(*sorted(lines), sep="\n", end="\n" * bool(lines), file=sys.stderr)
    if failed:
        print("\n".join(_table([("not done", "why"), *failed])), file=sys.stderr)
        raise typer.Exit(SOME_FAILED)


@app.command()
def regions(
    inputs: opt.Inputs = None,
    csv: opt.Csv = None,
    geojson: opt.Geojson = None,
    alpha: opt.Alpha = 0.01,
    min_size: opt.MinSize = 16,
    normal: opt.Normal = None,
    model: opt.Model = None,
    setting: opt.Setting = None,
    detector: opt.Detector = None,
    detector_setting: opt.DetectorSetting = None,
    cell: opt.Cell = None,
    seed: opt.Seed = None,
    axes: opt.Axes = None,
    modality: opt.ImageKind = None,
    full_scale: opt.FullScale = None,
    device: opt.Device = None,
    recipe: opt.RecipeFile = None,
) -> None:
    """Find anomalous regions of an image: a table (CSV), or outlines for QuPath."""
    targets = [path for path in (csv, geojson) if path]
    if not targets:
        raise DataError("say where the regions go: --csv FILE, --geojson FILE, or both")
    for path in targets:
        check_place(path)
    flags = opt.given(axes=axes, modality=modality, full_scale=full_scale)
    start = opt.load_recipe(recipe) if recipe else nd.Recipe()
    plan = opt.amend(
        start,
        opt.method(model, setting, start),
        opt.scorer(detector, detector_setting, normal, start),
        opt.images(flags, inputs, normal),
        opt.given(cell=cell, seed=seed, device=device),
        {"outputs": [ANOMALY]},
    )
    if len(plan.images) != 1:
        raise DataError(f"regions are those of 1 image, not {len(plan.images)}: name 1")
    score = _scored(plan)
    labels, table = score.regions(alpha, min_size)
    if csv:
        write_csv(csv, table, score.units)
    if geojson:
        write_geojson(geojson, labels, table, score.axes, score.units)
    print("\n".join(map(str, targets)))
    print(f"{len(table['label'])} regions, normal: {score.basis}", file=sys.stderr)
    for words in filter(None, (*score.status, score.limits(table))):
        print(words, file=sys.stderr)


def _scored(plan: nd.Recipe) -> nd.Score:
    """Follow the recipe of one anomaly map up to its score."""
    from napari_disentangle.layers.values import scored
    from napari_disentangle.pipeline.follow import Step, follow
    from napari_disentangle.pipeline.output import Output
    from napari_disentangle.pipeline.run import open_inputs

    for output in follow(plan, open_inputs(plan)):
        if isinstance(output, Step):
            _show(_words(output))
    assert isinstance(output, Output)
    score: nd.Score = _ended(scored(output, "the anomaly map"))
    return score


def _ended(steps: Generator[Step, None, Any]) -> Any:
    """What a generator returns, its steps shown."""
    while True:
        try:
            _show(_words(next(steps)))
        except StopIteration as stop:
            _show("")
            return stop.value


def _words(part: Step | Done) -> str:
    if isinstance(part, Done):
        return f"writing {part.path.name}: {part.parts} of {part.total} tiles"
    return f"{part.text}: {part.done:.0%}"


def _show(line: str) -> None:
    """Put a line in the place of the last one, if somebody is watching."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
