"""Measures a network beside baselines and other methods: docs/evaluation.md."""
