"""Adapters: one module or folder a framework. They import becausal, never the other way, and never each other."""
