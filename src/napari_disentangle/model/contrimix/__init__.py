"""The model contrimix: content and look without batch labels."""
