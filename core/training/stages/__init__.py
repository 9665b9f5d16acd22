"""What is trained: a network and its losses for each of the two stages."""
