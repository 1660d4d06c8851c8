"""Proxies, certificates, other hosts, and keys that change."""
