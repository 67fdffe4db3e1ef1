"""Models: what is measured of an image, and how it is rendered under another look."""
