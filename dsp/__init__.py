"""The shared signal chain: arrays in, arrays out; no files, no planner."""
