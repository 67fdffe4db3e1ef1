"""Images to begin with: measured ones and synthetic ones."""
