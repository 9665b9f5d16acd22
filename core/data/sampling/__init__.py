"""Which samples are drawn, and how they are read."""
