"""Depth of whole clips, which are looked at from both ends."""
