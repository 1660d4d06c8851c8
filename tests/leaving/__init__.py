"""Tests of leaving, cancelling and reconciling, at every moment."""
