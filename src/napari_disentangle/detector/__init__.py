"""Anomaly detectors: one file each; scores, calibration, regions."""
