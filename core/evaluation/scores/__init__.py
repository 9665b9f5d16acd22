"""The numbers of one clip."""
