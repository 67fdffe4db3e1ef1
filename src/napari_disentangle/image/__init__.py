"""One image: its axes, units and pixels, read plane by plane."""
