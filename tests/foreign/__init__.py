"""Traces and logs that others recorded."""
