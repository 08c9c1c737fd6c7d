"""Training and inference without padding: the rows of a batch are laid end to end."""
