"""Reading data, checking it against its contract, freezing it."""
