"""The camera that motion is seen through, and its angle of view: given, or estimated."""
