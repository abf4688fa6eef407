"""The colours of every picture."""

from __future__ import annotations

# Okabe and Ito's palette, which the common forms of colour blindness keep apart, with a grey for its yellow.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7F7F7F")
