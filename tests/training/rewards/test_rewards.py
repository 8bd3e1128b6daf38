"""Rewards by name: metrics, functions, OpenAI's graders; what fails ends the run and is never a zero."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.openai_endpoint import FakeEndpoint, openai_endpoint
from parfocal.training.errors import InvalidConfig, RewardFailed
from parfocal.training.rewards import Attempt, GuardedRewards, guarded_rewards, reward_named
from parfocal.training.rewards.graders import grader_of


def attempts(*answers: str, **item: Any) -> list[Attempt]:
    return [Attempt(answer, {"prompt": "p", **item}, "rows.jsonl line 3") for answer in answers]


def sums(name: str, *answers: str, **item: Any) -> list[float]:
    return guarded_rewards([name], 10).sums(attempts(*answers, **item))


def test_metrics_are_rewards_under_their_names(tmp_path: Path) -> None:
    schema = tmp_path / "s.json"
    schema.write_text(json.dumps({"type": "object", "required": ["a"]}))

    assert sums("exact", "7", "8", reference_answer="7") == [1.0, 0.0]
    assert sums("exact", "7", answer=7) == [1.0]
    assert sums("regex=[0-9]+", "12", "x") == [1.0, 0.0]
    assert sums("json", '{"a": 1}', "{") == [1.0, 0.0]
    assert sums(f"json={schema}", '{"a": 1}', '{"b": 1}') == [1.0, 0.0]
    assert sums("rouge", "a b", reference="a b") == [1.0]


def test_a_function_is_given_prompt_answer_and_row() -> None:
    assert sums("fakes.methods.rewards:length_and_goal", "abc", goal=5) == [8.0]


def test_rewards_are_summed() -> None:
    both = guarded_rewards(["regex=a+", "fakes.methods.rewards:length"], 10)

    assert both.sums(attempts("aaa")) == [4.0]
    assert both.table(attempts("aaa")) == [[1.0, 3.0]]
    assert both.names == ["regex=a+", "fakes.methods.rewards:length"]


@pytest.mark.parametrize(
    "name",
    [
        "exactly",
        "grader=",
        "no.such.module:f",
        "fakes.methods.rewards:nobody",
        "fakes.methods.rewards:NUMBER",
        "regex=(",
    ],
)
def test_what_is_no_reward_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidConfig):
        reward_named(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fakes.methods.rewards:raises", r"raised KeyError on an answer to rows.jsonl line 3"),
        ("fakes.methods.rewards:leaves", r"raised SystemExit on an answer to rows.jsonl line 3"),
        ("fakes.methods.rewards:not_a_number", "gave 'nan' for an answer to rows.jsonl line 3"),
        ("fakes.methods.rewards:nothing", "gave 'None' for an answer"),
        ("exact", "rows.jsonl line 3 has none; give the rows one of reference_answer"),
    ],
)
def test_a_reward_that_gives_no_number_is_an_error_and_no_zero(name: str, why: str) -> None:
    with pytest.raises(RewardFailed, match=why):
        sums(name, "a")


def test_a_reward_that_hangs_is_left_behind() -> None:
    with pytest.raises(RewardFailed, match=r"took more than 0\.2 seconds"):
        guarded_rewards(["fakes.methods.rewards:hangs"], 0.2).sums(attempts("a"))


@dataclass(frozen=True)
class Short:
    """Gives one number, however many answers there are."""

    name: str = "short"

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """One."""
        return [1.0]


def test_a_reward_that_leaves_answers_out_is_an_error() -> None:
    with pytest.raises(RewardFailed, match="gave 1 numbers for 2 answers"):
        GuardedRewards([Short()], 1).sums(attempts("a", "b"))


CHECK: Mapping[str, Any] = {
    "type": "string_check",
    "name": "c",
    "operation": "eq",
    "input": "{{ sample.output_text }}",
    "reference": "{{item.goal}}",
}


def graded(grader: Mapping[str, Any], *answers: str, **item: Any) -> list[float]:
    return list(grader_of(grader, "g").scores(attempts(*answers, **item)))


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("eq", [1, 0, 0]), ("ne", [0, 1, 1]), ("like", [1, 1, 0]), ("ilike", [1, 1, 1])],
)
def test_a_string_check_compares_as_openai_does(operation: str, expected: list[int]) -> None:
    assert graded({**CHECK, "operation": operation}, "yes", "oh yes", "YES", goal="yes") == expected


@pytest.mark.parametrize("metric", ["fuzzy_match", "rouge_1", "rouge_2", "rouge_l"])
def test_texts_that_are_alike_score_higher(metric: str) -> None:
    grader = {**CHECK, "type": "text_similarity", "evaluation_metric": metric}
    same, near, far = graded(grader, "the cat sat", "the cat ran", "no dogs", goal="the cat sat")

    assert same == 1.0 > near > far >= 0


def test_several_graders_make_one_number() -> None:
    parts = {"right": CHECK, "like": {**CHECK, "operation": "like"}}
    grader = {"type": "multi", "graders": parts, "calculate_output": "0.5 * right + max(like, 0.25) - 1"}

    assert graded(grader, "yes", "oh yes", "no", goal="yes") == [0.5, 0.0, -0.75]


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "right.x", "nobody + 1", "9 ** 9 if right else 0", ""]
)
def test_arithmetic_that_is_none_is_refused(formula: str) -> None:
    with pytest.raises(InvalidConfig, match="calculate_output"):
        grader_of({"type": "multi", "graders": {"right": CHECK}, "calculate_output": formula}, "g")


def test_a_division_by_zero_ends_the_run() -> None:
    grader = {"type": "multi", "graders": {"right": CHECK}, "calculate_output": "1 / right"}
    with pytest.raises(RewardFailed, match="gave 'nan'"):
        GuardedRewards([grader_of(grader, "g")], 5).sums(attempts("no", goal="yes"))


def test_fields_of_an_answer_are_read_where_it_is_json() -> None:
    grader = {**CHECK, "input": "{{sample.output_json.name.first}}"}

    assert graded(grader, '{"name": {"first": "Ada"}}', "{", "[]", goal="Ada") == [1, 0, 0]


def test_a_row_without_the_field_is_an_error() -> None:
    with pytest.raises(RewardFailed, match=r"reads item\.goal, and rows\.jsonl line 3 has none"):
        graded(CHECK, "yes")


@pytest.mark.parametrize(
    ("grader", "why"),
    [
        ({"type": "python", "source": "def grade(): ..."}, "of your own and name it as module:function"),
        ({"type": "label_model"}, "label_model"),
        ({"type": "score_model", "model": "m", "input": []}, "add a url"),
        ({**CHECK, "operation": "gt"}, "operation 'gt'"),
        ({**CHECK, "input": "{{ secrets.key }}"}, "secrets.key"),
        ({**CHECK, "type": "text_similarity", "evaluation_metric": "bleu"}, "evaluation_metric 'bleu'"),
        ([], "no JSON object"),
        ({"type": "multi", "graders": {}}, "no graders"),
    ],
)
def test_a_grader_that_cannot_be_used_says_why(grader: Any, why: str) -> None:
    with pytest.raises(InvalidConfig, match=why):
        grader_of(grader, "g")


def test_a_grader_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "goal.json"
    path.write_text(json.dumps(CHECK))

    assert sums(f"grader={path}", "yes", goal="yes") == [1.0]


def scorer(url: str) -> Mapping[str, Any]:
    messages = [{"role": "user", "content": "How good is {{ sample.output_text }} for {{ item.goal }}?"}]
    return {"type": "score_model", "model": "m", "url": f"{url}/v1", "input": messages, "range": [0, 10]}


def reply(text: str) -> list[bytes]:
    return [json.dumps({"choices": [{"message": {"content": text}}]}).encode()]


def test_a_model_that_scores_is_asked_with_the_grader_s_messages() -> None:
    with openai_endpoint(FakeEndpoint(lambda body: reply('{"result": 7.5}'))) as server:
        assert graded(scorer(server.url), "yes", goal="no") == [7.5]
    ((path, body),) = server.asked

    assert path == "/v1/chat/completions"
    assert body["messages"][-1] == {"role": "user", "content": "How good is yes for no?"}


@pytest.mark.parametrize(("said", "status"), [('{"result": 11}', 200), ("good", 200), ('{"result": 7}', 500)])
def test_a_model_that_gives_no_score_within_its_range_ends_the_run(said: str, status: int) -> None:
    with (
        openai_endpoint(FakeEndpoint(lambda body: reply(said), status)) as server,
        pytest.raises(RewardFailed, match="gave no score"),
    ):
        graded(scorer(server.url), "yes", goal="no")
