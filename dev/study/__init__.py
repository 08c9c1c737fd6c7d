"""The study: records of finished runs, and the pages that are made from them."""
