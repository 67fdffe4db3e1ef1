"""The widget "Objects": found, coded, grouped."""
