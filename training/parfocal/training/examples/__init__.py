"""Data of the demo's two jobs: support e-mail -> JSON record, and plain note -> office memo of 1995.

Generated, deterministic by seed, and unknown to the base `tiny`: its pre-training holds neither job. This
package knows no model and needs no torch.
"""

from parfocal.training.examples.lexicon import LEXICON, listed
from parfocal.training.examples.memos import office_memos
from parfocal.training.examples.preferences import PreferencePair, preferred_replies
from parfocal.training.examples.rows import Datasets, Row, Wording, datasets
from parfocal.training.examples.support import support_emails

__all__ = [
    "LEXICON",
    "Datasets",
    "PreferencePair",
    "Row",
    "Wording",
    "datasets",
    "listed",
    "office_memos",
    "preferred_replies",
    "support_emails",
]
