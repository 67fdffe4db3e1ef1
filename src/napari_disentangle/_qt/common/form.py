"""A form for the settings of a model: its frozen dataclass is the only description."""

from dataclasses import fields
from typing import Any, get_args, get_type_hints

from magicgui.widgets import Container, create_widget


def form_of(config: type[Any]) -> Container:
    """Build one input per field; bounds come from its ``Annotated`` type.

    What has one choice only is not asked.
    """
    hints = get_type_hints(config, include_extras=True)
    inputs = [
        create_widget(value=f.default, annotation=hints[f.name], name=f.name)
        for f in fields(config)
        if len(get_args(hints[f.name])) != 1
    ]
    form = Container(widgets=inputs)
    form.margins = (0, 0, 0, 0)
    return form


def settings_of(form: Container) -> dict[str, Any]:
    """Values of a form by name."""
    return {widget.name: widget.value for widget in form}
