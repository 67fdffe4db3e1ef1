"""The panel that finds what is odd."""
