"""ContriMix as published."""
