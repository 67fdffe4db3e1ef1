"""Coders: what is known of every object, as numbers with names."""
