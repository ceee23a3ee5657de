"""Slow, plain references: they share no code with the engine that they check."""
