"""What can go wrong while the stack starts or stops; every message says what to do."""


class StackError(Exception):
    """The stack could not be started, stopped or found."""
