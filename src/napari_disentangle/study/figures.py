"""The figures of a report: what changed, what stayed, and what to be wary of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_disentangle.audit import lisi, probe, silhouette
from napari_disentangle.image.arrays import Array
from napari_disentangle.model.attribute import OF_ALL
from napari_disentangle.study.facts import Facts, features
from napari_disentangle.study.looks import Looks
from napari_disentangle.study.scan import Item

# Robust standard deviations from which an image is unlike its group, and folds of it.
_UNLIKE = 5.0
# Share of the sharpness of its group below which an image is called blurred.
_BLURRED = 0.6
# Share of the values of an image that may become saturated without being told.
_SATURATED = 0.01
_FOLDS = 5
_SCALE = 1.4826


@dataclass(frozen=True)
class Change:
    """A figure before and after; NaN where it cannot be said."""

    before: float
    after: float


_UNKNOWN = Change(math.nan, math.nan)


@dataclass(frozen=True)
class Figures:
    """What a report says in numbers.

    Attributes
    ----------
    by_batch, batches_near, leak
        Silhouette by group, effective number of groups among neighbours (LISI), and
        what a probe reads of the group, all from colours of controls (of all images
        if there are none).
    by_biology
        Silhouette by biology.
    effects
        Treated by control signal, mean over groups that have both, by channel.
    controls
        Largest by smallest signal of controls among groups, by channel.
    edges
        Median likeness of edges.
    saturated
        Share of values at the limits of the type.
    """

    by_batch: Change
    batches_near: Change
    leak: Change
    by_biology: Change
    effects: Mapping[str, Change]
    controls: Mapping[str, Change]
    edges: float
    saturated: Change

    @property
    def strongest(self) -> str:
        """The channel that a treatment changes most; empty if none is known to."""
        sizes = {
            channel: abs(math.log(one.before))
            for channel, one in self.effects.items()
            if one.before > 0 and one.after > 0
        }
        return max(sizes, key=lambda channel: sizes[channel], default="")

    @property
    def kept(self) -> float:
        """Share of the strongest effect that is kept, on a logarithmic scale."""
        effect = self.effects.get(self.strongest)
        if effect is None or effect.before == 1:
            return math.nan
        return math.log(effect.after) / math.log(effect.before)

    @property
    def level(self) -> Change:
        """Levels of controls in the channel where they differ most after."""
        known = [one for one in self.controls.values() if not math.isnan(one.after)]
        return max(known, key=lambda one: one.after, default=_UNKNOWN)


def figures(
    facts: Sequence[Facts], items: Mapping[str, Item], biology: Mapping[str, str]
) -> Figures:
    """All figures of the images that were looked at, one at least."""
    groups = [items[one.image].group for one in facts]
    kinds = [biology.get(one.image, "") for one in facts]
    controls = [items[one.image].control for one in facts]

    # what a treatment does is no difference between groups
    alike = [f for f in facts if items[f.image].control] or facts
    own = [items[one.image].group for one in alike]

    def change(measure: Callable[[str], float]) -> Change:
        return Change(measure("before"), measure("after"))

    def by_channel(
        measure: Callable[[Array, Sequence[str], Sequence[bool]], float],
    ) -> dict[str, Change]:
        def one(channel: int) -> Change:
            return change(
                lambda side: measure(_signals(facts, side, channel), groups, controls)
            )

        return {name: one(i) for i, name in enumerate(facts[0].channels)}

    return Figures(
        change(lambda side: _of_labels(silhouette, features(alike, side), own)),
        change(lambda side: _of_labels(_near, features(alike, side), own)),
        change(lambda side: _of_labels(_leak, features(alike, side), own)),
        change(lambda side: _of_labels(silhouette, features(facts, side), kinds)),
        by_channel(_effect),
        by_channel(_spread),
        float(np.median([one.edges for one in facts])),
        change(lambda side: _saturated(facts, side)),
    )


def _of_labels(
    measure: Callable[[Array, Sequence[str]], float], rows: Array, labels: Sequence[str]
) -> float:
    """A measure of labels, if there are two with two images each."""
    counts = {label: labels.count(label) for label in labels}
    if len(counts) < 2 or min(counts.values()) < 2:
        return math.nan
    return measure(rows, labels)


def _near(rows: Array, labels: Sequence[str]) -> float:
    least = min(labels.count(label) for label in labels)
    return lisi(rows, labels, max(1, min(30, least - 1)))


def _leak(rows: Array, labels: Sequence[str]) -> float:
    least = min(labels.count(label) for label in labels)
    return probe(rows, labels, np.arange(len(rows)), min(_FOLDS, least)).excess


def _saturated(facts: Sequence[Facts], side: str) -> float:
    return float(np.mean([getattr(one, side).saturated for one in facts]))


def _signals(facts: Sequence[Facts], side: str, channel: int) -> Array:
    """Signal of every image in a channel."""
    return np.array([getattr(one, side).signal[channel] for one in facts])


def _by_group(
    signals: Array, groups: Sequence[str], chosen: Sequence[bool]
) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for signal, group, one in zip(signals, groups, chosen, strict=True):
        if one:
            found.setdefault(group, []).append(float(signal))
    return {group: float(np.mean(one)) for group, one in found.items()}


def _effect(signals: Array, groups: Sequence[str], controls: Sequence[bool]) -> float:
    """Geometric mean over groups of the signal of treated by that of controls."""
    own = _by_group(signals, groups, controls)
    other = _by_group(signals, groups, [not one for one in controls])
    ratios = [other[g] / own[g] for g in own if g in other and own[g] > 0 < other[g]]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else math.nan


def _spread(signals: Array, groups: Sequence[str], controls: Sequence[bool]) -> float:
    known = [*_by_group(signals, groups, controls).values()]
    return max(known) / min(known) if len(known) > 1 and min(known) > 0 else math.nan


# --- looks ----------------------------------------------------------------------------
def places(items: Sequence[Item], looks: Looks) -> dict[str, tuple[float, float]]:
    """Looks as points: their two main directions, of values in robust units."""
    found = {item.path: _values(looks[item.path]) for item in items}
    known = {image: row for image, row in found.items() if row is not None}
    if len(known) < 3:
        return {}
    rows = np.stack([*known.values()])
    rows = rows - np.median(rows, axis=0)
    spread = _SCALE * np.median(np.abs(rows), axis=0)
    rows = np.clip(rows / np.where(spread > 0, spread, np.inf), -20, 20)
    _, _, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    points = (rows - rows.mean(axis=0)) @ axes[:2].T
    if points.shape[1] < 2:
        points = np.column_stack([points, np.zeros(len(points))])
    return {k: (float(p[0]), float(p[1])) for k, p in zip(known, points, strict=True)}


def _values(record: Mapping[str, Any]) -> Array | None:
    """The values of a look that do not hang on classes; rows of planes averaged."""
    if "look" not in record:
        return None
    names = record["look"]["names"]
    chosen = [
        i
        for i, name in enumerate(names)
        if " class " not in name and not name.endswith(OF_ALL)
    ]
    values = np.array(record["look"]["values"], np.float64)  # what is missing is NaN
    rows = values.reshape(-1, len(names))[:, chosen]
    rows = rows[np.isfinite(rows).all(axis=1)]
    return np.asarray(rows.mean(axis=0)) if len(rows) else None


def blurred(facts: Sequence[Facts], items: Sequence[Item]) -> list[tuple[str, float]]:
    """Images that are less sharp than their group, with the share of its sharpness."""
    of = {item.path: (item.group, item.control) for item in items}
    groups: dict[tuple[str, bool], list[Facts]] = {}
    for one in facts:
        groups.setdefault(of[one.image], []).append(one)
    found = []
    for own in groups.values():
        usual = float(np.median([one.before.focus for one in own]))
        dull = [one for one in own if one.before.focus < _BLURRED * usual]
        found += [(one.image, one.before.focus / usual) for one in dull]
    return sorted(found, key=lambda one: one[1])


def clipped(facts: Sequence[Facts]) -> list[tuple[str, Change]]:
    """Images of which more values are saturated than before, the most first."""
    changes = {f.image: Change(f.before.saturated, f.after.saturated) for f in facts}
    found = [(k, c) for k, c in changes.items() if c.after - c.before > _SATURATED]
    return sorted(found, key=lambda one: one[1].before - one[1].after)


def unlike(items: Sequence[Item], looks: Looks) -> list[tuple[str, float]]:
    """Images whose look is far from that of their group, the farthest first.

    Controls are held against controls, and treated ones against treated ones. In robust
    standard deviations of the value that is farthest.
    """
    groups: dict[tuple[str, bool], dict[str, Array]] = {}
    for item in items:
        values = _values(looks[item.path])
        if values is not None:
            alike = item.group, item.control
            groups.setdefault(alike, {})[item.path] = values
    found: list[tuple[str, float]] = []
    for known in groups.values():
        if len(known) < 5:
            continue
        rows = np.stack([*known.values()])
        off = np.abs(rows - np.median(rows, axis=0))
        spread = _SCALE * np.median(off, axis=0)
        far = (off / np.where(spread > 0, spread, np.inf)).max(axis=1)
        pairs = zip(known, far, strict=True)
        found += [(k, float(f)) for k, f in pairs if f > _UNLIKE]
    return sorted(found, key=lambda one: -one[1])
