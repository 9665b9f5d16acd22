"""Frames that come once: cameras, network streams, standard input."""
