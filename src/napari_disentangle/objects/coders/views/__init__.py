"""The coder "views": a network to which two views of one object are the same."""
