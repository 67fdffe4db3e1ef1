"""The window for studies: a folder or a plate is chosen, run, and looked through."""
