"""The live run: trainer class, callback, held-out losses, checkpoint."""
