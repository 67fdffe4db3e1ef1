"""The panel that renders images under other looks, and fits models."""
