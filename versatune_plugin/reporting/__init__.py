"""Run records and their pictures."""
