"""How a step is computed and what it costs: optimiser, compilation, memory, randomness."""
