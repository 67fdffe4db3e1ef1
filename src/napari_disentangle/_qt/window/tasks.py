"""The three questions of the panel, and what each needs before it can run."""

from __future__ import annotations

from dataclasses import dataclass

from napari_disentangle._qt.images.chosen import Chosen
from napari_disentangle._qt.images.table import IMAGE, NORMAL, REFERENCE
from napari_disentangle.pipeline.kinds import ANOMALY, CONTENT, EXPECTED, SWAP, Kind

# The second question is called as what it makes.
COMPARABLE, ODD = "comparable", "odd"
__all__ = ["COMPARABLE", "GUIDE", "LOOK", "ODD", "SWAP", "TASKS", "Task", "why_not"]


@dataclass(frozen=True)
class Task:
    """What a person wants.

    Attributes
    ----------
    title, tip
        As the panel says it; the ampersand marks the key.
    outputs
        What is made.
    roles
        What images can be for.
    anchor
        Where the guide tells of it.
    """

    title: str
    tip: str
    outputs: tuple[Kind, ...]
    roles: tuple[str, ...]
    anchor: str


TASKS = {
    COMPARABLE: Task(
        "&Make images comparable",
        "Content-only layers: every image under one look, that of the reference",
        (CONTENT,),
        (IMAGE, REFERENCE),
        "make-images-comparable",
    ),
    SWAP: Task(
        "Give the loo&k of another",
        "Swapped layers: every image under the look of the reference images",
        (SWAP,),
        (IMAGE, REFERENCE),
        "give-an-image-the-look-of-another",
    ),
    ODD: Task(
        "&Find what is odd",
        "Anomaly maps and regions: what cannot be expected from its surroundings",
        (EXPECTED, ANOMALY),
        (IMAGE, NORMAL),
        "find-what-is-odd",
    ),
}
GUIDE = (
    "https://github.com/napari-disentangle/napari-disentangle/blob/main/docs/guide.md"
)
# What a look is, wherever the word stands.
LOOK = "Look: stain, exposure, scanner; what differs between batches"

_NONE = "Check at least one image."
_ONE = (
    "Nothing would change: one image has nothing to be made comparable with. Open or "
    "check another, set the role of one to 'reference look', or load a look."
)
_ALL_ONE = (
    "Nothing would change: all images are in one batch. Write batches into the table "
    "or choose 'Batches', set the role of an image to 'reference look', or load a look."
)
_NO_IMAGE = "No image would get a result: set the role of one to 'image'."
_NO_LOOK = "Set the role of an image to 'reference look', or load a look."


def why_not(task: str, chosen: Chosen, look: bool) -> str:
    """Why a task cannot run, and what to do; empty if it can.

    Parameters
    ----------
    task
        Which.
    chosen
        The images.
    look
        Whether a look was loaded from a file.
    """
    if not chosen.images:
        return chosen.left_out[0] if chosen.left_out else _NONE
    images = chosen.of(IMAGE)
    if not images:
        return _NO_IMAGE
    if task == ODD:
        return ""
    if task == SWAP:
        return "" if look or chosen.of(REFERENCE) else _NO_LOOK
    if look or chosen.of(REFERENCE):
        return ""
    if len(images) == 1:
        return _ONE
    batches = {one.batch for one in images}
    return _ALL_ONE if len(batches) == 1 and batches != {""} else ""
