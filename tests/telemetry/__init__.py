"""OpenTelemetry metrics and spans of sessions."""
