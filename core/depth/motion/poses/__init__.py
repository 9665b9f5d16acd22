"""Where the partners of a key frame were, and whether the camera moved at all."""
