"""Messages as the window says them: they name a control, not an argument."""

import re
from collections.abc import Mapping, Sequence

# What messages name in the console, and what stands for it here.
_CONTROLS = (
    (r"use pool='batch'", "give images of one batch the same name in the column batch"),
    (r"say so \(--modality\)", "say so under 'Change reading'"),
    (r"say e\.g\. --axes (\w+)", r"say so under 'Change reading', e.g. \1"),
    (r" \(nd\.fit without steps\)", ""),
    (r"make one for them with nd\.fit\([^)]*\)", "choose another model"),
    (r"use nd\.apply and nd\.write", "use the command line for it"),
    (
        r"regions cannot be told from chance: only (\d+) .* held out and (\d+) are .*",
        r"of what is normal \1 parts could be set aside to compare with, and \2 are "
        "needed: take a larger image, or more normal images",
    ),
    (
        r"false discoveries cannot be controlled: only (\d+) .* held out and (\d+) are "
        r"needed to look at (\d+) places .*",
        r"there is no q (share of false ones): it takes \2 normal parts for \3 places, "
        r"and \1 could be set aside",
    ),
    (r"every image was matched by itself, which also", "matching images one by one"),
    (
        r"use look: group with controls where treatments are compared",
        "where treatments are compared, let images of a group share a look, and name "
        "controls",
    ),
    (r"\(--overwrite\)", "(tick 'replace earlier results')"),
    (r", or add --overwrite", ", or tick 'replace earlier results'"),
    (r" \(reference: \{.*\}\)", " (in its recipe.yaml)"),
    (r"its closed form is used", "the standard model stays"),
    (r"closed form", "standard model"),
)
# Names that are spelled out.
_SPELLED = 2


def in_the_window(text: str) -> str:
    """A message with the names of controls."""
    for pattern, words in _CONTROLS:
        text = re.sub(pattern, words, text)
    return text


def remarks(notes: Mapping[str, Sequence[str]], images: int) -> list[str]:
    """What is to be known of images, every remark once.

    Parameters
    ----------
    notes
        Names of the images that each remark is on.
    images
        How many there are.
    """
    return [f"{_of(names, images)}{text}" for text, names in notes.items()]


def _of(names: Sequence[str], images: int) -> str:
    if len(names) == images > 1:
        return "All images: "
    more = len(names) - _SPELLED
    spelled = ", ".join(names[:_SPELLED])
    return f"{spelled} and {more} more: " if more > 0 else f"{spelled}: "
