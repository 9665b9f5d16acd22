"""What networks are trained on; a sample is a function of (seed, index) and of nothing else."""
