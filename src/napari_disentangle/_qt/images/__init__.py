"""The table of images: which take part, how they are read, their batches and roles."""
