"""What is said first of a study: what makes it doubtful, and whether to use it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from napari_disentangle.audit.confounding import confounded
from napari_disentangle.study.figures import Figures
from napari_disentangle.study.ledger import Record
from napari_disentangle.study.scan import Item, well_of
from napari_disentangle.study.study import Study
from napari_disentangle.study.unit import DONE, FAILED

# What is called mixed, kept, alike, of one level, and read by a probe.
_MIXED, _KEPT, _ALIKE, _LEVEL, _READ = 0.1, 0.9, 0.95, 1.15, 0.3
# A difference between treated and controls that is more than that of any two wells.
_EFFECT = 1.1


def biology_of(study: Study, items: Sequence[Item]) -> dict[str, str]:
    """What every image should keep telling: a column, or whether it is a control."""
    if study.biology is not None:
        return {item.path: item.labels.get(study.biology, "") for item in items}
    if study.controls:
        return {i.path: "control" if i.control else "treated" for i in items}
    return {}


def warnings_of(study: Study, items: Sequence[Item]) -> list[str]:
    """What makes a result doubtful, before anything is run."""
    said = [*warnings(study, items, biology_of(study, items))]
    if any(map(well_of, items)) and not study.controls:
        said.append(
            "there are wells, and none is named as a control: if some were treated, "
            "say which were not, or a part of what the treatment does may be removed"
        )
    return said


def warnings(
    study: Study, items: Sequence[Item], biology: Mapping[str, str]
) -> Iterator[str]:
    """What makes the result doubtful whatever the figures are."""
    groups = [item.group for item in items]
    kinds = [biology.get(item.path, "") for item in items]
    if len({*groups}) > 1 and len({*kinds}) > 1:
        yield from filter(None, [confounded(groups, kinds)])
    if study.look == "group" and study.reference == "study" and len({*groups}) == 1:
        yield (
            "all images are one group, and its own look is what they are given, so "
            "that nothing changes: say what they are alike by, or name another "
            "reference in a recipe"
        )
    if study.look == "image":
        yield (
            "every image was matched by itself, which also removes differences between "
            "treatments: use look: group with controls where treatments are compared"
        )


def verdict(
    study: Study, found: Figures | None, known: Mapping[tuple[str, str], Record]
) -> Iterator[str]:
    """Three sentences: is it alike, is biology kept, is the image kept."""
    if found is None:
        made = any(record["state"] == DONE for record in known.values())
        maps = "What was made is no image that could be compared with its own."
        yield maps if made else "No output is there yet."
        return
    controlled = bool(study.controls) and not math.isnan(found.level.after)
    alike = _on_controls(found) if controlled else _on_batches(found)
    yield f"{alike}{_on_leak(found)}"
    yield _on_biology(study, found)
    failed = sum(record["state"] == FAILED for record in known.values())
    lost = f"; {failed} of {len(known)} outputs failed" if failed else ""
    same = "are kept" if found.edges >= _ALIKE else "CHANGED: look at the pictures"
    yield f"Edges {same} (correlation {found.edges:.3f}){lost}."


def _on_controls(found: Figures) -> str:
    before, after = found.level.before, found.level.after
    words = "have one level now" if after <= _LEVEL else "still DIFFER"
    return (
        f"Controls of different groups {words} (largest by smallest signal "
        f"{before:.2f} before, {after:.2f} after; 1 is the same)."
    )


def _on_batches(found: Figures) -> str:
    before, after = found.by_batch.before, found.by_batch.after
    if math.isnan(after):
        return (
            "Nobody can say whether groups look alike now: there are fewer than two "
            "groups of two images."
        )
    if after < _MIXED:
        words = "Groups look alike now" if before > after else "Groups looked alike"
    else:
        words = "Groups still look DIFFERENT"
    said = f"{words} (silhouette {before:+.2f} before, {after:+.2f} after; 0 is mixed)"
    if after < _MIXED:
        return f"{said}."
    return f"{said}: see in the pictures whether it is the background, or other cases."


def _on_leak(found: Figures) -> str:
    """That more than the look tells groups apart, if it does."""
    if not found.leak.after > _READ:
        return ""
    return (
        " A program that looks for it can still tell groups apart "
        f"({found.leak.after:.2f}; 0 is chance, 1 always), by noise, sharpness, or "
        "what is in the images: where something is learned from them, every group "
        "needs controls of its own."
    )


def _on_biology(study: Study, found: Figures) -> str:
    if not math.isnan(found.kept):
        effect = found.effects[found.strongest]
        if abs(math.log(effect.before)) < math.log(_EFFECT):
            return (
                "Treated and controls hardly differ in brightness, so that it cannot "
                f"be said whether such a difference is kept: {found.strongest} "
                f"{effect.before:.2f}-fold before, {effect.after:.2f}-fold after."
            )
        words = "is kept" if found.kept >= _KEPT else "was partly REMOVED"
        return (
            f"The difference between treated and controls {words}: "
            f"{found.strongest} {effect.before:.2f}-fold before, "
            f"{effect.after:.2f}-fold after."
        )
    before, after = found.by_biology.before, found.by_biology.after
    if not math.isnan(after):
        words = "tell as much" if after >= before - 0.02 else "tell LESS"
        return (
            f"Colours {words} of the biology as before (silhouette {before:+.2f} "
            f"before, {after:+.2f} after)."
        )
    said = study.controls or study.biology
    why = (
        "too few images of every kind were looked at"
        if said
        else "the recipe names neither controls nor a column of biology"
    )
    return f"Whether biology was kept cannot be said: {why}."
