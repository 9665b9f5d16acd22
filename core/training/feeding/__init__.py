"""Samples from datasets and procedural scenes, as endless batches on the training device."""
