"""Pure functions that turn arrays into measurements and never know a threshold: one file a family."""
