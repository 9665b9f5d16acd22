"""Sources that can be read once: cameras, network streams, standard input."""
