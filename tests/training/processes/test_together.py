"""Two processes tell each other what the leader says, what either asks for, and why one of them ended."""

from fakes.launched import Launched

JOIN = """
import time
from parfocal.training import InvalidConfig, PeerLost
from parfocal.training.processes import Place, joined
place = Place.from_environment()
"""


def test_all_have_what_the_leader_says_and_agree_on_what_any_asks_for() -> None:
    program = f"""{JOIN}
with joined(place) as peers:
    peers.tell("greeting", ["hello"])
    heard = peers.hear("greeting")
    peers.meet(1)
    print(heard, peers.told(place.rank + 5), peers.agreed(place.rank == 1, False))
"""
    with Launched(["-c", program]) as both:
        for number in (0, 1):
            ended = both.ended(number)
            assert (ended.code, ended.output) == (0, "['hello'] 5 (True, False)\n"), ended.errors


def test_whatever_ends_one_process_ends_the_other_with_its_reason() -> None:
    program = f"""{JOIN}
try:
    with joined(place) as peers:
        peers.meet(1)
        if place.rank == 1:
            raise InvalidConfig("the second has no room", field="batch_size")
        peers.agreed(False)
except PeerLost as error:
    print(error, error.metadata)
"""
    with Launched(["-c", program]) as both:
        assert "the second has no room" in both.ended(1).errors
        said = both.ended(0).output
    assert said == "process 1 of 2 ended the run: the second has no room {'cause': 'INVALID_CONFIG'}\n"


def test_a_leader_that_refuses_the_run_ends_those_who_wait_for_it() -> None:
    program = f"""{JOIN}
try:
    with joined(place) as peers:
        if place.leads:
            time.sleep(1)
            raise InvalidConfig("rank is 0", field="rank")
        peers.hear("begun")
except PeerLost as error:
    print(error)
except InvalidConfig:
    time.sleep(3)  # as its store would go with it
"""
    with Launched(["-c", program]) as both:
        assert both.ended(1).output == "process 0 of 2 ended the run: rank is 0\n"


def test_a_process_that_does_not_come_is_given_up_in_time() -> None:
    program = f"""{JOIN}
try:
    with joined(place) as peers:
        peers.meet(0.05)
        if place.rank == 1:
            time.sleep(20)
        peers.wait()
except PeerLost as error:
    print(error)
"""
    with Launched(["-c", program]) as both:
        assert both.ended(0).output == "process 0 of 2: another process does not come within 0.05 minutes\n"
