"""Learning which answers are better: pairs (`dpo`, `reward`) and judged answers (`kto`)."""

from parfocal.training.methods.preferences.dpo import Preference
from parfocal.training.methods.preferences.kto import Judgement
from parfocal.training.methods.preferences.measures import JudgedMeasure, PairMeasure
from parfocal.training.methods.preferences.reward import Readout, ScoreMeasure, Scoring, scores_of

__all__ = [
    "JudgedMeasure",
    "Judgement",
    "PairMeasure",
    "Preference",
    "Readout",
    "ScoreMeasure",
    "Scoring",
    "scores_of",
]
