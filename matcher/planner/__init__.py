"""From two profiles to a plan: tone, width, dynamics, loudness, and the closed loop over them."""
