"""What people write in the tickets of the third job. Values only.

As in the e-mails, the words that decide are on both sides of the split, and all else is not: invoice, charge
and pay; parcel and delivery; password and account; broken and repair; cancel and contract; urgent and at
once; hurry and whenever.
"""

from collections.abc import Mapping

from parfocal.training.examples.phrasing import Phrases, lines

TOPICS: Mapping[str, Phrases] = {
    "billing": Phrases(
        seen=lines("""
            {lead} the invoice is [wrong|too high|not mine].
            {lead} you charge [me|my {who}] twice for the {product}.
            {lead} there is a charge that I do not know.
            Why do I pay so much for the {product}?
            Please send [me|my {who}] the invoice [again|once more].
            I did pay {time}, and the invoice came again.
            My {who} cannot pay {place}.
            {time} there was a second charge[| for the {product}].
            The invoice for the {product} has [no date|no name|an old address].
            How can I pay [from here|without a card|by card]?
            {lead} my {who} did not get an invoice.
            What is this charge of {number} dollars?
            Explain the invoice to my {who}[| please].
            {lead} I will not pay for the {product}.
        """),
        new=lines("""
            Your invoice has a mistake in it.
            A charge shows up that nobody knows.
            Who should pay this month?
            I cannot read the invoice you mailed.
            We want to pay less than before.
        """),
    ),
    "delivery": Phrases(
        seen=lines("""
            {lead} the parcel [did not come|is lost|is not here].
            Where is my parcel?
            {lead} the delivery of the {product} went to my {who}.
            When will the delivery be {place}?
            Can the parcel come {time}?
            The delivery came {time}, but it was for my {who}.
            {lead} nobody was {place} when the parcel came.
            The driver left the parcel {place}.
            Please change the delivery to another [day|street|town].
            {time} I saw no parcel {place}.
            {lead} the delivery takes [too long|weeks].
            My {who} waits {place} for the parcel.
            Is the {product} in this delivery?
            Two of {number} pieces were in the parcel.
        """),
        new=lines("""
            Nobody rang, yet the parcel is marked as handed over.
            Could you move my delivery to a later date?
            My parcel went to the wrong town.
            The delivery was left in the rain.
            We look for a parcel from you.
        """),
    ),
    "account": Phrases(
        seen=lines("""
            {lead} I forgot my password.
            My password does not work {place}.
            {lead} I cannot open my account.
            Please change the name of my account.
            {time} my account was [empty|locked|gone].
            How can my {who} get an account?
            {lead} somebody else has my password.
            The account of my {who} shows the {product}, not mine.
            I need a new password for the {product}.
            Can two people share one account?
            {lead} the password that you sent {time} is [old|not right].
            Which account is mine, {number} or {order}?
            My {who} typed the password {number} times.
            Why does my account ask for [my age|a phone number]?
        """),
        new=lines("""
            Your page refuses my password.
            The account will not let me in.
            I lost the note with my password.
            Is it safe to keep this password?
            We would join both of our account pages.
        """),
    ),
    "repair": Phrases(
        seen=lines("""
            {lead} the {product} is broken.
            Please repair [it|the {part}|my {product}].
            The {part} of the {product} is broken.
            {time} the {part} was broken.
            {lead} it needs a repair.
            Can you repair the {product} {place}?
            How long does a repair take?
            My {who} says the {part} is broken.
            {lead} the {part} makes a noise, it must be broken.
            Who can repair a {part}?
            The repair of the {part} did not help.
            A broken {part} is of no use[| to my {who}].
            What is the price of a repair?
            It fell {place} and now it is broken.
        """),
        new=lines("""
            Smoke comes out, so something must be broken.
            My machine went for repair and came back the same.
            Half of the lamps on it are broken.
            Do you repair such old models?
            The thing is broken once more.
        """),
    ),
    "cancellation": Phrases(
        seen=lines("""
            {lead} I want to cancel [it|the {product}|everything].
            Please end my contract.
            How do I cancel [it|the contract]?
            {time} I asked you to cancel[| the {product}].
            {lead} my {who} does not need the contract any more.
            When does the contract end?
            Cancel [it|the {product}|all of it] [please|for my {who}].
            The contract of my {who} [should stop|must end] {time}.
            Can I cancel from {place}?
            {lead} we leave, so cancel the {product}.
            A contract for [two years|so long] is too long for me.
            I cancel, as my {who} has a {product} too.
            What does it take to cancel?
            {lead} I have no use for the contract.
        """),
        new=lines("""
            I am moving abroad and must cancel.
            My contract should stop at the end of the year.
            Let me out of this contract.
            We decided to cancel after all.
            Where is the button to cancel?
        """),
    ),
}
PRIORITIES: Mapping[str, Phrases] = {
    "high": Phrases(
        seen=lines("""
            {lead} it is [urgent|very urgent].
            Please [help|answer|call] at once.
            Urgent, as my {who} is {place}.
            I need [help|an answer] at once.
            {lead} this is [urgent|so urgent].
            My {who} needs it at once.
            Call my {who} at once[| please].
            [Very urgent|Urgent]!
            At once, please.
            {time} it became urgent.
        """),
        new=lines("""
            Treat this as an urgent matter.
            Somebody has to act at once.
            For our firm it is urgent.
            This has to stop at once.
        """),
    ),
    "normal": Phrases(
        seen=lines("""
            {lead} I hope you can help.
            Thank you[| for your help].
            I am a customer [since March|of yours].
            My {who} says hello.
            I use the {product} {place}.
            We talked {time}.
            You can reach me {place}.
            My number is {number}.
            This is about the {product}.
            Tell me more[| please].
        """),
        new=lines("""
            I would be glad to hear from you.
            My colleagues have the same question.
            So much for today.
            Kindly look into it.
        """),
    ),
    "low": Phrases(
        seen=lines("""
            {lead} there is no hurry.
            Answer whenever you [like|can|want].
            No hurry[| at all].
            Whenever my {who} is {place}.
            Do not hurry[| for me].
            {lead} my {who} is in no hurry.
            Call whenever you have time.
            Whenever it suits you.
            {time} I was not in a hurry either.
            You need not hurry with it.
        """),
        new=lines("""
            Reply whenever it is convenient.
            I am not in any hurry here.
            Please do not hurry because of us.
            It is fine whenever you get to it.
        """),
    ),
}
# A slash is where a line ends.
HEADERS = Phrases(
    seen=lines("""
        Ticket {number}/
        Ticket {number} from {customer}/
        From: {customer}/
        {customer} wrote:/
        No. {number}, {product}/
        #{number}/
        [Mail|Call|Form], {customer}/
        Name: {customer}/Product: {product}/
        Hello,/
        [Hi|Good day|Dear support],/
    """),
    new=lines("""
        Request {number} by {customer}/
        Case {number}:/
        Message of {customer}/
        To the desk,/
    """),
)
FOOTERS = Phrases(
    seen=lines("""
        /{customer}
        /Regards, {customer}
        /[Thanks|Yours], {customer}
        /- {customer}
        /Order {order}
        /My {product}, order {order}
    """),
    new=lines("""
        /Best, {customer}
        /Sent by {customer}
        /Reference {order}
    """),
)
