"""Files: one format each, and what reads and writes any of them."""
