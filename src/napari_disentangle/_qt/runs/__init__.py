"""What a run does, and what it leaves in the viewer."""
