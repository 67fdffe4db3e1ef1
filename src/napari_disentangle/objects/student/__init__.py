"""The learned finder: a small network that a closed form teaches, without labels."""
