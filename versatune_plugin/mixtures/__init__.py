"""Numbers only: policies, the schedule of weights, the signal they read. No torch, no Axolotl."""
