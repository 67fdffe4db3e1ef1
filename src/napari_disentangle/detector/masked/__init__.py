"""What the detectors that predict hidden parts share."""
