"""What `benchmarks/quality.py` judges masters by; nothing of the engine itself is used here."""
