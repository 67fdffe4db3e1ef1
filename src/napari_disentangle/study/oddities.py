"""What is odd in a study: one normal for all images, and one table of regions."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_disentangle.compute.iterators import finished
from napari_disentangle.detector.detector import Detector
from napari_disentangle.detector.export import write_csv
from napari_disentangle.detector.fit import fit_detector
from napari_disentangle.files.registry import write
from napari_disentangle.layers.save import as_it_is
from napari_disentangle.layers.values import scored
from napari_disentangle.model.attribute import Attribute
from napari_disentangle.model.fit import unfitted
from napari_disentangle.pipeline.kinds import KINDS, need
from napari_disentangle.pipeline.output import Output
from napari_disentangle.pipeline.recipe import Recipe
from napari_disentangle.pipeline.run import open_inputs
from napari_disentangle.study.ledger import write_table
from napari_disentangle.study.scan import Item, matches
from napari_disentangle.study.study import Study

# Images that teach what is normal at most, and pixels of a map that has regions.
_NORMALS, _MOST = 16, 2**24
# p of pixels in regions, and of regions that are called odd.
ALPHA, ODD = 0.01, 0.05
_ENDING = "_regions"
TABLE = "regions.csv"


def normals(study: Study, items: Sequence[Item]) -> list[dict[str, Any]]:
    """Images that show what is normal, as a recipe has them.

    Those that the study names, or else controls; none if every image is to be compared
    with itself.
    """
    if not need(study.outputs, "detector", "prediction"):
        return []
    said = study.normal or study.controls
    chosen = [item for item in items if said and matches(item, said)]
    return [
        {"name": item.path, "path": str(study.place(item.file)), **item.reading}
        for item in chosen[:: max(1, -(-len(chosen) // _NORMALS))]
    ]


def detector_of(recipe: Recipe) -> Detector | None:
    """The detector that all images of a study share; learned once in every process."""
    if not recipe.normals:
        return None
    kept = ("normals", "model", "config", "reference", "seed", "cell")
    said = recipe.to_json()
    known = {k: said[k] for k in (*kept, "detector", "detector_config", "device")}
    return _learned(json.dumps(known, sort_keys=True))


@lru_cache(maxsize=1)
def _learned(said: str) -> Detector:
    recipe = Recipe.from_json(json.loads(said))
    images = open_inputs(recipe).normals
    assert recipe.reference is not None
    model = unfitted(images[0], recipe.model, **recipe.config)
    return fit_detector(
        images,
        recipe.detector,
        replace(model, reference=Attribute.from_json(recipe.reference)),
        recipe.seed,
        cell=recipe.cell,
        **recipe.detector_config,
    )


def look_for(part: Output, path: Path) -> dict[str, Any]:
    """Write the regions of an anomaly map: labels, and their table.

    Parameters
    ----------
    part
        The output.
    path
        Where they go, without an ending.

    Returns
    -------
    dict
        How many regions are odd as a whole, and the share of odd pixels; nothing for
        other outputs, and for maps that are too large.
    """
    image = part.image
    if KINDS[part.kind].shown != "score" or np.prod(image.grid_shape) > _MOST:
        return {}
    score = finished(scored(part, "the anomaly map"))
    labels, table = score.regions(ALPHA)
    stem = f"{path.name}{_ENDING}"
    attributes = {
        "scale": image.scale,
        "translate": image.translate,
        "units": image.units,
        "axis_labels": tuple(image.grid_axes.lower()),
        "name": stem,
    }
    lazy = as_it_is(
        labels.astype(np.uint32), attributes, dict(part.lazy.provenance), True
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in write(lazy, path.with_name(f"{stem}.ome.tif"), overwrite=True):
        pass
    write_csv(path.with_name(f"{stem}.csv"), table, score.units, overwrite=True)
    odd = int((np.asarray(table["p"]) <= ODD).sum())
    return {"odd_regions": odd, "odd_share": float((score.p <= ALPHA).mean())}


def merge(target: Path, places: Mapping[str, Path]) -> None:
    """One table of the regions of all images, with a column that names the image.

    Parameters
    ----------
    target
        Folder of the study's results.
    places
        Where the regions of every image are, as for :func:`look_for`.
    """
    write_table(target / TABLE, lambda: _regions(places))


def _regions(places: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    for image, path in places.items():
        own = path.with_name(f"{path.name}{_ENDING}.csv")
        if own.exists():
            with own.open(newline="", encoding="utf-8") as file:
                yield from ({"image": image, **row} for row in csv.DictReader(file))
