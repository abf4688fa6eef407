"""The colours of every picture."""

from __future__ import annotations

# Okabe and Ito's palette, which the common forms of colour blindness keep apart, with a grey for its yellow.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7F7F7F")
# The same hues in the same order, lighter: for a dark ground.
DARK = ("#4FA3E0", "#F0B429", "#2CC295", "#F07B3F", "#A5DBFA", "#E39BC5", "#A8A8A8")
