"""Looks through a dataset before training does."""
