"""What notes of the second job say, and how they are written down. Values only.

{day}, {number} and {other} are facts that the memo repeats.
"""

from collections.abc import Mapping

from parfocal.training.examples.lexicon import listed
from parfocal.training.examples.phrasing import Phrases, lines

MONTHS = listed("January February March April May June July August September October November December")
DAYS = listed("Monday Tuesday Wednesday Thursday Friday")
# Subjects of one line share what can be said about them.
THINGS = lines("""
    the fax machine
    the coffee machine
    the new computer
    the front door
    the lift
    the photocopier
    the back door
    the copy room
    the water cooler
    the typewriter
    the radio
    the safe
""")
EVENTS = lines("""
    the staff meeting
    the office party
    the fire drill
    the training course
    the lunch break
    the sales talk
    the board meeting
    the summer trip
    the yearly review
""")
PAPERS = lines("""
    the monthly report
    the phone list
    the travel budget
    the dress code
    the sales plan
    the holiday list
    the price list
    the annual plan
    the telex
""")
NEWS: Mapping[tuple[str, ...], Phrases] = {
    THINGS: Phrases(
        seen=lines("""
            is out of order until {day}
            was moved to floor {number}
            needs a new [key|part|cable|place]
            was repaired by {other}
            [will be|was] cleaned on {day}
            is [locked|closed|too warm] until {day}
            belongs to {other} now
            makes [noise|trouble|smoke]
            broke down on {day}
            may be used by {other} only
            costs {number} dollars a day
            was [bought|sold|borrowed] by {other}
        """),
        new=lines("""
            is out of order again
            will be repaired on {day}
            needs {number} new parts
            was checked by {other}
        """),
    ),
    EVENTS: Phrases(
        seen=lines("""
            was moved to {day}
            starts at {number}
            is now on floor {number}
            will be opened by {other}
            [ends|begins] on {day}
            takes {number} hours
            is [paid|planned|led] by {other}
            was [cancelled|a success|too short]
            will be in room {number}
            has {number} guests
            is for {other} only
            [must|can] wait until {day}
        """),
        new=lines("""
            will be moved to floor {number}
            starts on {day}
            is now the job of {other}
            lasts until {number}
        """),
    ),
    PAPERS: Phrases(
        seen=lines("""
            will be ready on {day}
            is now the job of {other}
            needs {number} more pages
            has to wait until {day}
            was [lost|found|typed] by {other}
            is in room {number}
            [was|will be] sent out on {day}
            has {number} mistakes
            [must|should] be signed by {other}
            goes to {other} first
            is [too long|out of date|not complete]
            was copied {number} times
        """),
        new=lines("""
            is ready now
            was moved to {day}
            has to be opened by {other}
            lacks {number} lines
        """),
    ),
}
NOTES = Phrases(
    seen=lines("""
        {date}. {sender} to {reader}: {news}. {reply}
        hi {reader}, {news}. {reply} {sender}, {date}
        hello {reader}, {news}. {reply} Yours {sender}. {date}
        dear {reader}: {news}. {reply} Greetings, {sender} ({date})
        please tell {reader} that {news}. {reply} - {sender}, {date}
        {reader} should know that {news}. {reply} It is {date}, I am {sender}
        for {reader} ({date}): {news}. {reply} {sender}
        to {reader} from {sender}, {date}: {news}. {reply}
        {date}: let {reader} know that {news}. {reply} From {sender}
        {sender} here, {date}. {reader}, {news}. {reply}
        good morning {reader}, {news}. {reply} Best, {sender} on {date}
        {reader}! {news}. {reply} {sender} {date}
        note to {reader}: {news}. {reply} Signed {sender}, {date}
        on {date} {sender} wrote to {reader}: {news}. {reply}
        {reader}, you may have heard that {news}. {reply} ({sender}, {date})
        today, {date}, {reader} must hear from {sender} that {news}. {reply}
    """),
    new=lines("""
        dear {reader}, {news}. {reply} From {sender}, {date}
        {date}: tell {reader} that {news}. {reply} {sender}
        for {reader}: {news}. {reply} Yours {sender}, {date}
        morning, {reader}! {news}. {reply} Thanks, {sender}, {date}
    """),
)
# Whether an answer is wanted -> how a note says so.
REPLIES: Mapping[bool, Phrases] = {
    True: Phrases(
        seen=lines("""
            Please answer[| soon| me].
            Call me [back|soon|today].
            [Tell me|Say] if that is fine.
            Do write back.
            [Let me know|Tell me] what you think.
            I wait for your answer.
            [Can|Will] you come?
            Write to me[| today].
            What do you say?
        """),
        new=lines("""
            Please call me back.
            Do answer.
            Please write back.
            Send me a word.
        """),
    ),
    False: Phrases(
        seen=lines("""
            No need to [answer|write|call].
            Just so you know.
            That is all[| from me| today].
            No answer is needed.
            There is nothing to [do|say|add].
            You need not [answer|write|call].
            [No call|Nothing more] is needed.
            Only that you know.
            It is for your [file|eyes|desk].
        """),
        new=lines("""
            That is all for now.
            There is no need to answer.
            Just that you know.
            Nothing to answer here.
        """),
    ),
}
