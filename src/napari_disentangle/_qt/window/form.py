"""A form for the settings of a model: its frozen dataclass is the only description."""

import re
from dataclasses import fields
from inspect import getdoc
from typing import Any, get_args, get_type_hints

from magicgui.widgets import Container, create_widget

# Names of settings, and below them, further in, what they mean.
_EXPLAINED = re.compile(r"^(\w+(?:, \w+)*)\n((?: {4}.*\n?|\n)+)", re.MULTILINE)


def form_of(config: type[Any]) -> Container:
    """Build one input per field; bounds come from its ``Annotated`` type.

    What has one choice only is not asked.
    """
    hints, said = get_type_hints(config, include_extras=True), explained(config)
    asked = [f for f in fields(config) if len(get_args(hints[f.name])) != 1]
    inputs = [
        create_widget(
            value=f.default,
            annotation=hints[f.name],
            name=f.name,
            options={"tooltip": said.get(f.name, f.name)},
        )
        for f in asked
    ]
    for widget in inputs:
        widget.native.setAccessibleName(widget.label)
    form = Container(widgets=inputs)
    form.margins = (0, 0, 0, 0)
    return form


def explained(config: type[Any]) -> dict[str, str]:
    """What the docstring of a class says of its attributes."""
    found = _EXPLAINED.findall(getdoc(config) or "")
    pairs = ((name, text) for names, text in found for name in names.split(", "))
    return {name: " ".join(text.split()).replace("``", "") for name, text in pairs}


def settings_of(form: Container) -> dict[str, Any]:
    """Values of a form by name."""
    return {widget.name: widget.value for widget in form}
