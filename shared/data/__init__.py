"""Training data: what a sample is before augmentation, and the files that samples come from."""
