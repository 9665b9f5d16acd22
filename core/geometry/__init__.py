"""Canonical space, motion through it, and the way out of it. Every function is differentiable."""
