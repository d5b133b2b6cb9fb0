"""Running a model folder's own training function, and what surrounds it."""
