"""The tests: real sockets against the project's own sandbox, and time that is told to pass."""
