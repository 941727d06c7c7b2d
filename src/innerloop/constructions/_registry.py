"""Every construction, with the algorithm that it runs and a prompt that it can be given.

The laws of `tests/constructions` and the table of `docs/constructions.md` loop over this tuple.
"""

from innerloop.constructions._deep_entries import WU
from innerloop.constructions._linear_entries import AHN, CHENG, FU, VON_OSWALD
from innerloop.constructions._loss_entries import BAI
from innerloop.constructions._online_entries import AKYUREK, MESA

CONSTRUCTIONS = (*VON_OSWALD, *AHN, *FU, *CHENG, *BAI, *WU, *AKYUREK, *MESA)
