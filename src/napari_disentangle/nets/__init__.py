"""Torch modules and the looks they learn from."""
