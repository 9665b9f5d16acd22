"""The scene of the demo clip, painted layer by layer."""
