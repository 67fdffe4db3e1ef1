"""Training on own images."""
