"""Numbers a person can read: looks before and after, and the report."""
