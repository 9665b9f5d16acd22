"""Files that hold the images or depth maps of many sequences."""
