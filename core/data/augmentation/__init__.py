"""Random changes of training samples, the same for all that belongs to a sequence."""
