"""Images and depth maps as files, and sheets of labelled images."""
