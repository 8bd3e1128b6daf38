"""Gates: the rules that a version must meet before an alias moves to it, over what is recorded of it.

A rule reads the evaluation in a version's manifest, as its publisher recorded it: `adapter_loss`,
`base_loss`, `loss_gain_low`, `adapter_exact_match`, … `forgetting` is how much higher the loss on general
text is than the base's, as a fraction of it. The ends of the interval of a metric `x` are `x_low` and
`x_high`, and what it is on one slice of the rows is `x/SLICE`.
"""

from parfocal.registry.gates.bounds import Bound, Side
from parfocal.registry.gates.findings import shortened
from parfocal.registry.gates.gate import MAX_RULES, Gate, Rule, StandingGate
from parfocal.registry.gates.losses import BelowBase, NotAboveCurrent
from parfocal.registry.gates.origins import SameBase, Signatures, SignedBy
from parfocal.registry.gates.subject import EVERY_SLICE, Subject
from parfocal.registry.gates.verdict import AS_THE_GATE_SAYS, Evidence, Outcome, Override, Passage, Verdict

__all__ = [
    "AS_THE_GATE_SAYS",
    "EVERY_SLICE",
    "MAX_RULES",
    "BelowBase",
    "Bound",
    "Evidence",
    "Gate",
    "NotAboveCurrent",
    "Outcome",
    "Override",
    "Passage",
    "Rule",
    "SameBase",
    "Side",
    "Signatures",
    "SignedBy",
    "StandingGate",
    "Subject",
    "Verdict",
    "shortened",
]
