"""What people read: the report, the comparison, the model card."""
