"""One file an effect: its settings, whose defaults change nothing, and its processor."""
