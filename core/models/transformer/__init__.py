"""The published network, a transformer."""
