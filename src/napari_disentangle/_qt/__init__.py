"""Everything that draws windows: one file per widget, nothing below imports it."""
