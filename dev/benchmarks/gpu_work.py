"""What the GPU section asks in a process of its own, because torch is needed for it."""

import torch


def describe_gpu() -> dict[str, str]:
    """The GPU's name; empty where there is none."""
    return {"name": torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""}
