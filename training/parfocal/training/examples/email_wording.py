"""What customers write in the e-mails of the first job. Values only.

The words that decide (broken, late, wrong, refund, missing, urgent, hurry) are on both sides of the split:
the base knows no synonyms. All else of the new sentences is unknown to training.
"""

from collections.abc import Mapping

from parfocal.training.examples.phrasing import Phrases, lines

ISSUES: Mapping[str, Phrases] = {
    "damaged": Phrases(
        seen=lines("""
            {lead} it [arrived|came here|got here] [damaged|broken].
            {lead} [the|its|one] {part} is [broken|damaged][| {place}].
            {lead} it was [broken|damaged] in the box.
            {lead} [one|the left|the right|the back] side is [damaged|broken].
            It came with a [broken|damaged] {part}.
            {lead} I opened the box {time} and [it|the {part}] was [broken|damaged].
            {lead} [something|a part] is [broken|damaged] inside.
            The box was damaged and [so is the {part}|the {part} is broken].
            What came is [damaged|broken], [look at the picture|I am sorry to say].
            A [broken|damaged] {part} [is no use to me|does not help my {who}].
            {time} it [was|is] [broken|damaged].
            You sold my {who} a [broken|damaged] one.
            Broken {part}, [again|so soon]!
            My {who} [saw|told me] {time} that the {part} was [broken|damaged].
            {lead} the {part} is {adverb} [broken|damaged].
            What a {adverb} [broken|damaged] thing this is.
        """),
        new=lines("""
            Sadly it came damaged.
            The top is broken.
            I found it broken this morning.
            Its glass is broken.
            The postman left it damaged.
            Half of it is broken off.
            We received it damaged.
            It looks broken to me.
        """),
    ),
    "late": Phrases(
        seen=lines("""
            {lead} the [parcel|delivery|order|box] is [a day|{adverb}] late.
            {lead} it is [a week|two days|ten days|a month] late.
            {lead} it comes [too|very|much too] late.
            Why is [it|the parcel|the box|my order] so late?
            It should be {place} [by now|since Monday], but it is late.
            {lead} you are late [with it|with my order|with the delivery].
            A late [parcel|delivery] is [bad for my {who}|no good].
            {lead} my {who} still waits, it is {adverb} late.
            So late [a parcel|a box] has never been.
            It did not come {time}, it is late.
            How [long|much longer] will it be late?
            Late [delivery|parcels] once more, [why|what happened]?
            My {who} waited {place} {time}, and it was late.
            {time} the [driver|box] was late[| once more].
        """),
        new=lines("""
            It is late again.
            My parcel is three days late.
            Now it is late.
            Nothing has come, so it is late.
            My order is late by far.
            The van is late with it.
            Sorry, but this is late.
            It is late by a week.
        """),
    ),
    "wrong item": Phrases(
        seen=lines("""
            {lead} you [sent|packed|gave my {who}] the wrong [model|thing|{part}|kind|size].
            {lead} I [got|received|have] [a|the] wrong [one|thing|model|{part}].
            {lead} the [colour|size|model|type|number|{part}] is wrong.
            {lead} it is the wrong [size|type|kind|model|make].
            The wrong [thing|model|type|{part}] was in the box.
            What [came|arrived|I got] {time} is the wrong thing.
            {lead} there was a wrong [thing|model|type] {place}.
            This is not mine, it is the wrong [one|model].
            A wrong [one|model|type|{part}] [arrived|is {place}].
            [Sorry|Well], wrong [model|size|colour|{part}].
            {lead} it is wrong, I wanted [another one|a white one|a small one].
            Why do I have the wrong [model|kind|{part}]?
            {lead} it is {adverb} wrong.
            My {who} [unpacked|opened] it {time}: wrong [model|type|kind].
            {time} [came|I unpacked] a wrong [thing|model|{part}].
        """),
        new=lines("""
            It has the wrong colour.
            The wrong one came.
            Somebody packed the wrong model.
            This one has the wrong shape.
            Your people sent a wrong one.
            Wrong goods came to my house.
            That is the wrong colour for us.
            We did not order this, it is wrong.
        """),
    ),
    "refund": Phrases(
        seen=lines("""
            {lead} I [want|need|expect] a refund.
            {lead} I would like [a|my] refund.
            Please [give|grant|pay] [me|my {who}] a refund.
            {lead} I ask for a [refund|full refund].
            When [do|will] I get [my|the] refund?
            [Can|Could|May] [I|my {who}] [have|get] a refund?
            Where is my refund?
            {lead} [my|the] refund [has not come|is not here|did not arrive].
            {lead} I still wait for [my|a|the] refund.
            I sent it back {time}, [now the refund|so a refund] is due.
            My {who} does not like the {part}, [a refund please|give me a refund].
            {lead} you [owe|promised] me a refund.
            {time} I asked for [my|a|the] refund.
            The refund for the {part} was promised {time}.
        """),
        new=lines("""
            A refund would be fair.
            Please send my refund.
            I now ask you for a refund.
            My bank has no refund yet.
            Only a refund will do.
            Let us agree on a refund.
            How about a refund?
            The refund never reached me.
        """),
    ),
    "missing part": Phrases(
        seen=lines("""
            {lead} a {part} is missing[| {place}].
            {lead} the {part} is missing.
            {lead} there is a missing {part}.
            [Something|One thing] is missing in the box.
            In the [box|parcel] the {part} was missing.
            {lead} [two|three|four] of the [screws|parts|wheels] are missing.
            {lead} it came with a {part} missing.
            Why is the {part} missing?
            Please send [me|my {who}] the missing {part}.
            {lead} the missing {part} must be [with you|{place}].
            The {part} is {adverb} missing.
            I looked {place}, the {part} is missing.
            Without the missing {part} [it does not run|my {who} cannot use it].
            {time} my {who} [told me|saw] that a {part} was missing.
            Missing: one {part}.
        """),
        new=lines("""
            The lid is missing.
            It seems a part is missing.
            I think a screw is missing.
            Two bolts are missing.
            The remote is missing from it.
            My son says the key is missing.
            One bag of nails is missing.
            Something seems to be missing.
        """),
    ),
}
URGENT = Phrases(
    seen=lines("""
        {lead} [this|it|that] is {adverb} urgent.
        It is {adverb} urgent, please [hurry|be quick|act now].
        Please hurry, it is urgent.
        {lead} my [order|problem|matter|wish] is {adverb} urgent.
        I need [it|an answer] {place}, it is urgent.
        Urgent: [please answer|please help|answer soon].
        As [it|this] is urgent, [call me|write today|answer today].
        For my {who} this is {adverb} urgent.
        Please treat [it|this] as urgent.
        [An|A quick and] urgent answer would [do|be good].
        You see how urgent it is.
        {lead} it is an urgent [matter|order|problem|question].
        I have an urgent [wish|question|request][| for you].
        The urgent [question|matter] is [mine|how to go on].
        We are in an urgent [need|spot] {place}.
        My urgent [order|question] was [sent|asked] {time}.
        My {who} [needs it|asked for it] {time}: urgent!
        {time} it [became|was] urgent.
        Urgent, as my {who} is {place}.
        What my {who} wants is urgent.
    """),
    new=lines("""
        Please note that it is urgent.
        It is really urgent.
        This is an urgent case.
        We think it is urgent.
        Your urgent help is needed.
        Sorry to press you, but it is urgent.
        Our case is urgent indeed.
    """),
)
CALM = Phrases(
    seen=lines("""
        {lead} there is no hurry[| at all].
        Take [your time|all the time you need].
        {lead} I can wait[| a week| a bit].
        No hurry[| at all|, really].
        {lead} it can wait.
        {lead} my {who} has time.
        Do not hurry[| for me| for my {who}].
        [Answer|Write] when you have time.
        You need not hurry.
        My {who} can wait {place}.
        As my {who} is {place}, there is no hurry.
        {time} I have time[| for it].
        Waiting is no problem.
    """),
    new=lines("""
        You can take your time.
        I am in no hurry.
        I can wait for it.
        We are happy to wait.
        For this there is time.
        No need to hurry.
        It can wait until next week.
    """),
)
PURCHASES = Phrases(
    seen=lines("""
        I [bought|ordered|got|have] [a|the|your] {product}, [order|number|order number] {order}.
        My order {order} was [a|the|one] {product}.
        This is about order {order}, [a|the] {product}.
        I [ordered|bought] the {product} from you ({order}).
        Order {order}: [one|a] {product}.
        On your page I [got|found|ordered] a {product} with number {order}.
        It is about the {product} in order {order}.
        I have a {product} from you. The number is {order}.
        With order {order} came [a|the] {product}.
        You sold me [a|the] {product} ({order}).
        [Last week|Two weeks ago|In May|Yesterday] I [ordered|bought] a {product}, number {order}.
        I write because of my {product}, order {order}.
        My {product} ([order|number] {order}) [is here|came today|gives me trouble].
        {order} is my order, [a|the] {product}.
        Order number: {order}. [Product|Article|Goods]: {product}.
        Please look at order {order}. It [was|is] [a|the] {product}.
        [A|One] {product} was in [my order|parcel|order] {order}.
        There is a problem with my {product}. [Order|My order is|The order was] {order}.
        From you came [a|the] {product}, [order|number|by order] {order}.
        Under [order|number] {order} you sent me a {product}.
        We [use|have|own] your {product}, [bought|ordered] as {order}.
        The {product} I [bought|ordered] has the number {order}.
        I have a [question|complaint] about {order}, [a|the] {product}.
        Concerning: {product}, {order}.
        You know my order {order} for [a|the] {product}.
        {product} - {order}.
        Some days ago [a|the] {product} was sent to me as order {order}.
        The [slip|invoice] says {order} and {product}.
        I am the owner of a {product} (your order {order}).
        Here is my order {order}; it was for a {product}.
        My {product} is not as it should be: order {order}.
        Not long ago I chose your {product}. You called it {order}.
        [The|This|That|Her|His] {product} [came|arrived|was sent] with [order|number] {order}.
        [This|The] {product} of order {order} [came today|is in use|is for my {who}].
        {time} [my {who}|I] [bought|ordered|paid for|unpacked] [a|the|this] {product} ({order}).
        In [my order|parcel] {order} [was|came|I found] [a|the] {product}.
        [Look at|Check|Find] order {order}: [a|the|my] {product}.
        My {who} [owns|has|uses] [a|the|this] {product} from order {order}.
        For my {who} I [chose|took|ordered] [a|the|your] {product}, {order}.
        [Her|His|My] {product} is from order {order}.
        {lead} order {order} is about [a|the|my] {product}.
        The number on [the|my] {product} is {order}.
        [My|The|This|A|Her|Some] {product} {verb} {place}, [order|number|by order] {order}.
        [My|The|This|His|Our] {product} {verb} as {order}.
        {time} [the|my|your] {product} {verb} {place} ({order}).
        Order {order} {verb} {place}: [a|the|my] {product}.
        As {order} [the|my|a] {product} {verb} {place}.
        I [wrote|called] {time} about [a|the|my] {product}, number {order}.
        A {product} [came to|arrived for] my {who} {time}, order {order}.
    """),
    new=lines("""
        I write about the {product} of order {order}.
        Last month I bought your {product} ({order}).
        It is about a {product}. The order is {order}.
        With order {order} I got a {product}.
        Our {product} has order number {order}.
        In order {order} there should be a {product}.
        We paid for a {product} on bill {order}.
        Your {product} reached us under {order}.
        The thing in question is a {product}, see order {order}.
        A month ago your shop sold us a {product} as {order}.
    """),
)
OPENINGS = Phrases(
    seen=lines("""
        Hello,
        Hi[| there],
        Dear [support|team|shop|Sirs|Sir or Madam],
        Good [day|morning|evening],
        Hello [all|team|again|you],
        To the support,
        To whom it may concern,
        Greetings,
    """),
    new=lines("""
        Hello support,
        Good day to you,
        Dear all,
        Good afternoon,
        Dear customer service,
    """),
)
# A slash is where a line may end.
SIGNATURES = Phrases(
    seen=lines("""
        [Regards|Kind regards|Warm regards],/{customer}
        [Thanks|Thanks a lot], {customer}
        [Yours|Yours truly|Sincerely], {customer}
        {customer}
        [Thank you|Thank you for your help],/{customer}
        Greetings,/{customer}
        [Bye|Cheers], {customer}
        - {customer}
        My name is {customer}
        Your customer/{customer}
        Waiting for your answer,/{customer}
        [See you|Until] soon, {customer}
        [Take care|Stay well], {customer}
        [Looking forward|Hoping] to hear from you,/{customer}
        [Written|Signed] by {customer}
        I thank you, {customer}
    """),
    new=lines("""
        Best,/{customer}
        Many thanks,/{customer}
        With regards, {customer}
        All the best,/{customer}
        Have a nice day, {customer}
    """),
)
# Said now and then, and no part of the record.
ASIDES = Phrases(
    seen=lines("""
        I hope you are well.
        I like your [shop|page|goods].
        My [sister|friend|mother] has the same one.
        It was a gift[| for my father].
        I paid at once.
        This is my second [letter|message].
        I am a new customer.
        The price was [good|fair].
        We are [a small office|a family of five].
        It [looks|looked] nice in the picture.
    """),
    new=lines("""
        I have been your customer for years.
        My wife chose it.
        We live in the country.
        So far I was happy with you.
    """),
)
