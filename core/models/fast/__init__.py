"""The networks made fast for inference: fused kernels, compilation, CUDA graphs."""
