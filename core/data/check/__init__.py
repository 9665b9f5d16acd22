"""Checks a dataset before training."""
