"""The sandbox, looked at from its wire."""
