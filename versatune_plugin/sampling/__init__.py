"""The plan of a global step, from the schedule and a few cursors, and its thin torch adaptors."""
