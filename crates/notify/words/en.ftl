### Texts of mails, feeds, webhooks and the command line, and of alerts on the page.
### One file for each language, with the same messages; syntax: https://projectfluent.org.
### Terms follow the table in docs/glossary.md. Numbers in text arrive formatted.

## An alert in a sentence

# $window is open while the window has not ended; $unit is that of the window's length.
posted = { $window ->
    [open] { $accounts } posted about { $topic } { $place } so far in the { $span } ending { $end }
   *[closed] { $accounts } posted about { $topic } { $place } in the { $span } to { $end }
}
# $count selects the form, $shown is the number as it is written.
accounts = { $count ->
    [one] { $shown } account
   *[other] { $shown } accounts
}
# In place of accounts, for the public, who receives no numbers.
rise = { $rise ->
    [above-usual] More accounts than usual
    [several-times-usual] Several times the usual number of accounts
   *[many-times-usual] Many times the usual number of accounts
}
level = { $rise ->
    [above-usual] above the usual level
    [several-times-usual] several times the usual level
   *[many-times-usual] many times the usual level
}
# In the subject of a mail.
number-of-accounts = { $count ->
    [one] { $shown } account
   *[other] { $shown } accounts
}
expected = { $number } expected ({ $low }–{ $high })
expected-bound = { $number } expected, bound { $bound }
withdrawn = Withdrawn: { $text }
span = { $unit ->
    [days] { $length } days
   *[hours] { $length }{ "\u00A0" }h
}

## How the rise went on

course = Peak { $peak } ({ $at }); latest { $now } ({ $end }), { $phase ->
    [rising] rising
    [steady] steady
    [falling] falling
   *[ended] ended
}.
course-highest = Latest { $now } ({ $end }), the highest so far.
course-below = Not above the bound since { $since }.

## Places and languages

# A place inside a sentence: countries by code; $kind is country, region or language.
place = { $code ->
    [AE] in the { $name }
    [BS] in the { $name }
    [CF] in the { $name }
    [DO] in the { $name }
    [FK] in the { $name }
    [GB] in the { $name }
    [GM] in the { $name }
    [IM] in the { $name }
    [KM] in the { $name }
    [KY] in the { $name }
    [MV] in the { $name }
    [NL] in the { $name }
    [PH] in the { $name }
    [SB] in the { $name }
    [US] in the { $name }
   *[other] in { $name }
}
world = worldwide
unlocated = from unknown places
language-de = German
language-en = English
language-es = Spanish
language-fr = French
language-it = Italian
language-ja = Japanese
language-pt = Portuguese
language-und = no stated language

## Dates

end = { $weekday } { $day } { $month } { $year } { $time }{ "\u00A0" }{ $zone }
weekday = { $number ->
    [0] Mon
    [1] Tue
    [2] Wed
    [3] Thu
    [4] Fri
    [5] Sat
   *[6] Sun
}
month = { $number ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
}
zone = { $zone }

## How often chance alone would raise such an alert

rarity-below-ten-years = less than once in 10 years
rarity-years = about once in { $number } years
rarity-year = { $number ->
    [1] about once a year
    [2] about twice a year
    [3] about three times a year
    [4] about four times a year
    [5] about five times a year
    [6] about six times a year
    [7] about seven times a year
    [8] about eight times a year
   *[other] about { $number } times a year
}
rarity-month = { $number ->
    [1] about once a month
   *[2] about twice a month
}
rarity-week = about once a week
rarity-above-week = more than once a week
# $series: among how many series of the reader; 0: all that are monitored.
by-chance = { $series ->
    [0] By chance { $rarity } in all monitored series.
    [1] By chance { $rarity } in this series.
   *[other] By chance { $rarity } in your { $series } series.
}

## What follows the sentence

voices = { $news ->
    [one] { $own } first-person, { $news } links to news.
   *[other] { $own } first-person, { $news } link to news.
}
voices-sample = Of { $of } sampled posts { voices }
located = Place known for { $share } of posts ({ $place }).
seen = { $share } of the posts of these hours were received.
history = { $number ->
    [one] Last alert here: { $outcomes }.
   *[other] Last { $number } alerts here: { $outcomes }.
}
outcome-health-event = { $number ->
    [one] { $number } event
   *[other] { $number } events
}
outcome-known = { $number } known
outcome-talk-only = { $number } discussion only
outcome-artefact = { $number ->
    [one] { $number } artefact
   *[other] { $number } artefacts
}
outcome-could-not-tell = { $number } undetermined
posts-not-cases = Posts, not cases.

## What to check

check-one-account = At least { $posts } of { $of } sampled posts are from one account: a bot, or a campaign?
check-near-copies = { $posts } of { $of } sampled posts are near-duplicates: one text shared repeatedly?
check-new-accounts = { $posts } of { $of } sampled posts are from new accounts: mass registration, or bots?
check-news = { $posts } of { $of } sampled posts link to news: are people discussing a report?
check-news-domain = { $posts } of { $of } sampled posts link to news, most to { $domain }: are people discussing a report?
check-campaign = Coincides with { $names }: are the posts only about that?
check-one-link = Many posts contain the same link: are people sharing one page?
check-growth = All posts rose to the same extent: did the network grow, rather than the topic?
check-slow-rise = No single day is above its bound; the last { $days } days together are: what has been rising since?
check-tags = Co-occurring hashtags: { $tags }. Do these posts refer to the illness?
check-elsewhere = Also above their bound: { $places }.
check-coverage = Only { $share } of posts were received: was a source down?
check-open = The window is still open: when it closes, the alert is confirmed or withdrawn.
check-ask = Check other sources: are consultations, absences or tests up?

## Labels

label-what-to-check = What to check
label-open = Open and acknowledge
label-inbox = Inbox
label-accounts = Accounts
label-ratio = Ratio
label-detectable = Smallest detectable rise
label-voice = First-person
label-news = News
label-seen = Received
label-per-million = Posts per million
label-simulated = Simulated data
label-trend = Accounts per window
label-bound = dashes: bound of
label-digest = Digest
label-nothing-unusual = Nothing unusual.
label-silence = No data: no new post since
label-outage = pumphandle has stopped: nothing is monitored until it is restarted
label-cause = Cause
label-escalated = This alert was not acknowledged in time.
label-new = new
label-updated = update
label-below-the-line = Below this week’s limit, rarest first
label-degraded = pumphandle is running with limitations
label-recovered = pumphandle is running normally again
label-test = pumphandle: test of the subscription
label-test-means = This is a test, not an alert.
label-doubtful = Doubtful, so it is not sent immediately and not published: see what to check.
label-provisional = Provisional: based on the first two weeks, the usual level is not yet established.

## Why the reader receives this

why = You receive this as a recipient of the subscription “{ $subscription }”.
change = Change or end the subscription: { $address }
end-by-mail = End the subscription by mail: { $address }
# The subject of the daily status message.
works = { $new ->
    [one] pumphandle is running; { $new } new alert in 24{ "\u00A0" }h, { $open } unacknowledged
   *[other] pumphandle is running; { $new } new alerts in 24{ "\u00A0" }h, { $open } unacknowledged
}

## Conditions under which the program works with less

condition-feed-silent = source sends no data
condition-feed-failed = source failed
condition-lag = results delayed
condition-clock = system clock unreliable
condition-mail-refused = mail rejected
condition-disk-full = disk full
condition-backlog = backlog of more than two days
condition-token-file = signing in not possible
condition-landing = results cannot be stored
condition-no-frames = no counts are produced
condition-role-ended = a component has stopped
