"""Formats of single images: what their headers say, and decoders that print nothing."""
