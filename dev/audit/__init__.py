"""How right the audit is about real model cards, and what those cards look like."""
