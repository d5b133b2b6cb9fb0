"""One person across all models: which frozen rows are theirs, what was made of them, and how these rows are erased."""
