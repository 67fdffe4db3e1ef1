"""Objects: what images are made of, found, measured and kept as one table."""
