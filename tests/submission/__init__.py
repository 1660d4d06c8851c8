"""The paid call under every evidence, in every surrounding."""
