"""Results as napari layers; imports no napari."""
