"""The network on its device: optimiser, compilation, LPIPS and memory."""
