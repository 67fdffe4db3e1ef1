"""From a recipe to outputs, in memory and in files."""
