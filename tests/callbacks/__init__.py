"""Tests of the receivers, of hints, and of reconciliation."""
