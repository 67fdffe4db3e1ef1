"""The window: one panel with three questions, and what happens when it is used."""
