"""Moving `champion`: verify, move, tell the scoring service, smoke test, move back."""
