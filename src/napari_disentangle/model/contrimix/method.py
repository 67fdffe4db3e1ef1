"""contrimix: content and attribute without batch labels (Nguyen et al. 2023)."""

from napari_disentangle.model.contrimix.published.method import Published
from napari_disentangle.model.contrimix.settings import Config

METHOD = Published(Config())
