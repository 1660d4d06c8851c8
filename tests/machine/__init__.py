"""Sandbox, receiver, sessions and their callers, driven together by a state machine."""
