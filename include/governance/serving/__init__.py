"""The scoring service: loads nothing without a valid permit."""
