"""Whose rows are whose, which of them are held out, and in what order they come."""
