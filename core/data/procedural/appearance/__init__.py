"""What layers of a scene look like: colours, patterns, outlines, light."""
