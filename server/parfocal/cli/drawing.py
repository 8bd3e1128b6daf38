"""The flags for sampling an answer, ending it and reporting on it. Names and help only."""

from typing import Annotated

import typer

_MOST_ANSWERS = 1000

MaxTokensOption = Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")]
TemperatureOption = Annotated[
    float, typer.Option("--temperature", help="0 always takes the likeliest token; 1 draws freely.")
]
TopPOption = Annotated[
    float, typer.Option("--top-p", help="Draw among the likeliest tokens that make up this share.")
]
TopKOption = Annotated[
    int | None,
    typer.Option("--top-k", min=0, help="Draw among so many of the likeliest tokens. Default: all."),
]
MinPOption = Annotated[
    float | None,
    typer.Option("--min-p", help="Draw among tokens at least this likely beside the likeliest."),
]
RepetitionPenaltyOption = Annotated[
    float | None,
    typer.Option("--repetition-penalty", help="Above 1: fewer tokens of prompt and answer again."),
]
PresencePenaltyOption = Annotated[
    float | None,
    typer.Option("--presence-penalty", help="Above 0: fewer tokens that the answer has already."),
]
FrequencyPenaltyOption = Annotated[
    float | None,
    typer.Option("--frequency-penalty", help="The same, for each time that the answer has them."),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        help="The same seed draws the same answer; on a GPU, if the server is --deterministic. Default: "
        "another each time.",
    ),
]
StopOption = Annotated[
    list[str] | None,
    typer.Option("--stop", metavar="TEXT", help="End before this text; may be repeated."),
]
CountOption = Annotated[
    int,
    typer.Option("--n", min=1, max=_MOST_ANSWERS, help="Draw so many answers; needs a --temperature."),
]
LogprobsOption = Annotated[
    bool, typer.Option("--logprobs", help="Show the log-probability of each token of the answer.")
]
TopLogprobsOption = Annotated[
    int | None,
    typer.Option("--top-logprobs", min=0, help="Show also so many of the likeliest tokens beside it."),
]
WaitOption = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Wait until the server is ready: 2 minutes for one that does not answer, 15 for one that loads.",
    ),
]
WaitForOption = Annotated[
    float | None,
    typer.Option(
        "--wait-for",
        metavar="SECONDS",
        help="Wait for so long, whatever the server does. Default: --timeout.",
        show_default=False,
    ),
]
StreamOption = Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer as it comes.")]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", help="End the answer by then.")
]
