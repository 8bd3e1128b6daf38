"""Rows of three jobs: e-mail -> JSON record, plain note -> office memo of 1995, ticket -> queue and priority.

And pairs of replies, one preferred. Generated, deterministic by seed, and unknown to the base `tiny`: its
pre-training holds none of the jobs. Knows no model and needs no torch.
"""

from parfocal.training.examples.lexicon import LEXICON, listed
from parfocal.training.examples.memos import office_memos
from parfocal.training.examples.phrasing import Wording
from parfocal.training.examples.preferences import PreferencePair, preferred_replies
from parfocal.training.examples.recipes import RECIPES, Recipe
from parfocal.training.examples.rewarded import RewardedQuestion, names_the_case, rewarded_questions
from parfocal.training.examples.rows import Datasets, Job, Row, datasets, examples
from parfocal.training.examples.style import memo_marks, memo_style
from parfocal.training.examples.support import support_emails
from parfocal.training.examples.tickets import support_tickets

__all__ = [
    "JOBS",
    "LEXICON",
    "RECIPES",
    "Datasets",
    "Job",
    "PreferencePair",
    "Recipe",
    "RewardedQuestion",
    "Row",
    "Wording",
    "datasets",
    "examples",
    "listed",
    "memo_marks",
    "memo_style",
    "names_the_case",
    "office_memos",
    "preferred_replies",
    "rewarded_questions",
    "support_emails",
    "support_tickets",
]

JOBS: dict[str, Job] = {"emails": support_emails, "memos": office_memos, "tickets": support_tickets}
