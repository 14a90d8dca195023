"""Repairs of damage: found by detection over the whole file, made from settings and events in blocks."""
