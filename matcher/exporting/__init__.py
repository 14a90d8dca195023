"""Plans for other tools: the equalizer as biquads or as an impulse response, the settings as a table."""
