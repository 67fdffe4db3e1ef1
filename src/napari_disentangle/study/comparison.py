"""The model of a study beside all closed forms, on some of its images."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from napari_disentangle.audit.report import Report, report
from napari_disentangle.errors import DataError, DisentangleError
from napari_disentangle.image.field import Field
from napari_disentangle.model.fit import fit
from napari_disentangle.study.looks import by_group, model_of, opened
from napari_disentangle.study.scan import Item, scan
from napari_disentangle.study.study import Study
from napari_disentangle.study.verdict import biology_of

COMPARISON = "comparison.json"
# Images that are looked at.
_IMAGES = 12


def compare(study: Study) -> Report:
    """Audit the model of a study beside every closed form; kept for its report.

    All have the looks of single images; see :func:`napari_disentangle.report`.

    Raises
    ------
    DataError
        If fewer than two images can be opened.
    """
    items, images = _images(study, scan(study))
    if len(images) < 2:
        raise DataError(f"only {len(images)} of its images can be opened: two at least")
    model = fit(images, model_of(study), **study.config)
    biology = biology_of(study, items)
    found = report(
        model,
        images,
        _labels([item.group for item in items]),
        _labels([biology.get(item.path, "") for item in items]),
        study.seed,
    )
    study.target.mkdir(parents=True, exist_ok=True)
    rows = [asdict(row) for row in found.rows]
    (study.target / COMPARISON).write_text(json.dumps(rows), encoding="utf-8")
    return found


def _images(study: Study, items: Sequence[Item]) -> tuple[list[Item], list[Field]]:
    """Some images of every group in turn, that have the same channels."""
    turns = chain.from_iterable(zip_longest(*by_group(items).values()))
    chosen: list[Item] = []
    images: list[Field] = []
    for item in islice((one for one in turns if one is not None), 4 * _IMAGES):
        try:
            image = opened(str(study.place(item.file)), item.reading)
        except (DisentangleError, OSError):  # said by check and run
            continue
        if len(images) < _IMAGES and _alike(images, image):
            chosen.append(item)
            images.append(image)
    return chosen, images


def _alike(images: Sequence[Field], image: Field) -> bool:
    return not images or images[0].channel_names == image.channel_names


def _labels(labels: list[str]) -> list[str] | None:
    """Labels that can be compared: two at least, of two images each."""
    counts = [labels.count(label) for label in {*labels}]
    return labels if len(counts) > 1 and min(counts) > 1 else None


def kept(folder: Path) -> list[Mapping[str, Any]]:
    """What was found before, as text; nothing if it was not looked for."""
    path = folder / COMPARISON
    if not path.exists():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [{name: _text(value) for name, value in row.items()} for row in rows]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.3g}"
