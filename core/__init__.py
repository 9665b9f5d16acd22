"""StreamSplat: an uncalibrated video goes in, a dynamic 3D Gaussian scene comes out."""
