"""What is measured: the network, baselines, and frames that others rendered."""
