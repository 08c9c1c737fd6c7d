"""Fine-tuning, its logs and its checkpoints."""
