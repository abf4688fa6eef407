"""The mastery ceiling of each domain: the lowest held-out loss that a reference model reaches on it alone."""
