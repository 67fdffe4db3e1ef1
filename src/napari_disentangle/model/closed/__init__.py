"""Models in closed form, one file each."""
