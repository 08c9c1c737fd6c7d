"""The model and its inputs: loading, tokens, devices, inference."""
