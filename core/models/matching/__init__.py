"""The small networks: convolutions that see the pixels, and an explicit matcher of two frames."""
