"""The whole path on a small model that is made on the spot: offline, on a CPU, within minutes."""
