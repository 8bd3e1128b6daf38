"""Which metric a word on the command line means."""

from collections.abc import Callable, Mapping

from parfocal.training.errors import InvalidConfig
from parfocal.training.metrics.answers import Metric
from parfocal.training.metrics.custom import CustomMetric
from parfocal.training.metrics.json_answers import JsonAnswers
from parfocal.training.metrics.judge import Judge
from parfocal.training.metrics.labels import Labels
from parfocal.training.metrics.matches import ExactMatch, PatternMatch
from parfocal.training.metrics.text_overlap import Rouge

METRICS = "exact, json, json=SCHEMA.json, label, rouge, regex=PATTERN, judge=URL#MODEL or module:function"
_PLAIN: Mapping[str, Callable[[], Metric]] = {
    "exact": ExactMatch,
    "json": JsonAnswers,
    "label": Labels,
    "rouge": Rouge,
}
_WITH_VALUE: Mapping[str, Callable[[str], Metric]] = {
    "json": JsonAnswers.of,
    "regex": PatternMatch.of,
    "judge": Judge.of,
}


def metric_named(text: str) -> Metric:
    """The metric that people write so; raises InvalidConfig where there is none."""
    name, equals, value = text.partition("=")
    if not equals and text in _PLAIN:
        return _PLAIN[text]()
    if equals and value and name in _WITH_VALUE:
        return _WITH_VALUE[name](value)
    if not equals and ":" in text:
        return CustomMetric.of(text)
    raise InvalidConfig(f"metric {text[:80]!a} is none; write {METRICS}", field="metric")
