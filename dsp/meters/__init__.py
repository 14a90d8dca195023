"""Streaming meters: `update(block)` as often as wanted, then `result()`."""
