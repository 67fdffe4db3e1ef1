"""Studies: folders, tables and plates of images that are normalised together."""
