"""The pipeline's stages: thin shells that read parameters and inputs, call cardproof, and write."""
