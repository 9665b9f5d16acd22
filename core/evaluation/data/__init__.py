"""What is measured on: clips, and pairs of key frames with the frames between them."""
