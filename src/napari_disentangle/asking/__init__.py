"""Questions that are asked of a table of objects, each with its guard."""
