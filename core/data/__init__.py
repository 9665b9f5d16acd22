"""Training data. A sample is a function of (seed, index) alone."""
