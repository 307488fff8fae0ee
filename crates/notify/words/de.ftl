### Texte von E-Mails, Feeds, Webhooks und Befehlszeile und von Alarmen auf der Seite.
### Siehe en.ftl.

## Ein Alarm in einem Satz

posted = { $window ->
    [open] { $accounts } { $place } bisher in den { $span } bis { $end } über { $topic }
   *[closed] { $accounts } { $place } in den { $span } bis { $end } über { $topic }
}
accounts = { $count ->
    [one] { $shown } Konto schrieb
   *[other] { $shown } Konten schrieben
}
rise = { $rise ->
    [above-usual] Mehr Konten als üblich schrieben
    [several-times-usual] Mehrfach so viele Konten wie üblich schrieben
   *[many-times-usual] Um ein Vielfaches mehr Konten als üblich schrieben
}
level = { $rise ->
    [above-usual] über dem üblichen Niveau
    [several-times-usual] mehrfach über dem üblichen Niveau
   *[many-times-usual] um ein Vielfaches über dem üblichen Niveau
}
number-of-accounts = { $count ->
    [one] { $shown } Konto
   *[other] { $shown } Konten
}
expected = { $number } erwartet ({ $low }–{ $high })
expected-bound = { $number } erwartet, Schwelle { $bound }
withdrawn = Zurückgezogen: { $text }
span = { $unit ->
    [days] { $length } Tagen
   *[hours] { $length }{ "\u00A0" }h
}

## Wie der Anstieg weiterging

course = Höchststand { $peak } ({ $at }); zuletzt { $now } ({ $end }), { $phase ->
    [rising] steigend
    [steady] gleichbleibend
    [falling] fallend
   *[ended] beendet
}.
course-highest = Zuletzt { $now } ({ $end }), der bisherige Höchststand.
course-below = Nicht über der Schwelle seit { $since }.

## Orte und Sprachen

place = { $code ->
    [AE] in den Vereinigten Arabischen Emiraten
    [BS] auf den { $name }
    [CD] in der { $name }
    [CF] in der Zentralafrikanischen Republik
    [CH] in der { $name }
    [CI] in der { $name }
    [DO] in der Dominikanischen Republik
    [FO] auf den { $name }
    [GB] im Vereinigten Königreich
    [IQ] im { $name }
    [IR] im { $name }
    [KM] auf den { $name }
    [LB] im { $name }
    [MN] in der { $name }
    [MV] auf den { $name }
    [NE] im { $name }
    [NL] in den Niederlanden
    [PH] auf den { $name }
    [SB] auf den { $name }
    [SC] auf den { $name }
    [SD] im { $name }
    [SK] in der { $name }
    [SN] im { $name }
    [TD] im { $name }
    [TR] in der { $name }
    [UA] in der { $name }
    [US] in den Vereinigten Staaten
    [VA] im { $name }
    [YE] im { $name }
   *[other] { $kind ->
        [language] { $code ->
            [und] ohne Sprachangabe
           *[other] auf { $name }
        }
       *[other] in { $name }
    }
}
world = weltweit
unlocated = von unbekannten Orten
language-de = Deutsch
language-en = Englisch
language-es = Spanisch
language-fr = Französisch
language-it = Italienisch
language-ja = Japanisch
language-pt = Portugiesisch
language-und = ohne Sprachangabe

## Zeitangaben

end = { $weekday } { $day }. { $month } { $year } { $time }{ "\u00A0" }{ $zone }
weekday = { $number ->
    [0] Mo
    [1] Di
    [2] Mi
    [3] Do
    [4] Fr
    [5] Sa
   *[6] So
}
month = { $number ->
    [1] Jan.
    [2] Febr.
    [3] März
    [4] April
    [5] Mai
    [6] Juni
    [7] Juli
    [8] Aug.
    [9] Sept.
    [10] Okt.
    [11] Nov.
   *[12] Dez.
}
zone = { $zone ->
    [CET] MEZ
    [CEST] MESZ
   *[other] { $zone }
}

## Wie oft der Zufall allein einen solchen Alarm auslöst

rarity-below-ten-years = seltener als einmal in 10 Jahren
rarity-years = etwa einmal in { $number } Jahren
rarity-year = { $number ->
    [1] etwa einmal im Jahr
    [2] etwa zweimal im Jahr
    [3] etwa dreimal im Jahr
    [4] etwa viermal im Jahr
    [5] etwa fünfmal im Jahr
    [6] etwa sechsmal im Jahr
    [7] etwa siebenmal im Jahr
    [8] etwa achtmal im Jahr
   *[other] etwa { $number }-mal im Jahr
}
rarity-month = { $number ->
    [1] etwa einmal im Monat
   *[2] etwa zweimal im Monat
}
rarity-week = etwa einmal in der Woche
rarity-above-week = öfter als einmal in der Woche
by-chance = { $series ->
    [0] Durch Zufall { $rarity } in allen überwachten Zeitreihen.
    [1] Durch Zufall { $rarity } in dieser Zeitreihe.
   *[other] Durch Zufall { $rarity } in Ihren { $series } Zeitreihen.
}

## Was auf den Satz folgt

voices = { $news ->
    [one] { $own } in Ich-Form, { $news } verweist auf Nachrichten.
   *[other] { $own } in Ich-Form, { $news } verweisen auf Nachrichten.
}
voices-sample = Von { $of } Beiträgen der Stichprobe { voices }
located = Ort bekannt bei { $share } der Beiträge ({ $place }).
seen = { $share } der Beiträge dieser Stunden wurden erfasst.
history = { $number ->
    [one] Letzter Alarm hier: { $outcomes }.
   *[other] Letzte { $number } Alarme hier: { $outcomes }.
}
outcome-health-event = { $number ->
    [one] { $number } Ereignis
   *[other] { $number } Ereignisse
}
outcome-known = { $number } bekannt
outcome-talk-only = { $number } nur Diskussion
outcome-artefact = { $number ->
    [one] { $number } Artefakt
   *[other] { $number } Artefakte
}
outcome-could-not-tell = { $number } nicht geklärt
posts-not-cases = Beiträge, keine Fälle.

## Was zu prüfen ist

check-one-account = Mindestens { $posts } von { $of } Beiträgen der Stichprobe stammen von einem Konto: ein Bot oder eine Kampagne?
check-near-copies = { $posts } von { $of } Beiträgen der Stichprobe sind nahezu identisch: Wird ein Text weiterverbreitet?
check-new-accounts = { $posts } von { $of } Beiträgen der Stichprobe stammen von neuen Konten: Massenanmeldungen oder Bots?
check-news = { $posts } von { $of } Beiträgen der Stichprobe verweisen auf Nachrichten: Wird über einen Bericht diskutiert?
check-news-domain = { $posts } von { $of } Beiträgen der Stichprobe verweisen auf Nachrichten, meist auf { $domain }: Wird über einen Bericht diskutiert?
check-campaign = Fällt zusammen mit { $names }: Geht es nur darum?
check-one-link = Viele Beiträge enthalten denselben Link: Wird eine einzelne Seite geteilt?
check-growth = Alle Beiträge haben im gleichen Maß zugenommen: Ist das Netz insgesamt gewachsen?
check-slow-rise = Kein einzelner Tag liegt über der Schwelle, die letzten { $days } Tage zusammen schon: Was nimmt seitdem zu?
check-tags = Gemeinsam verwendete Hashtags: { $tags }. Geht es um die Krankheit?
check-elsewhere = Ebenfalls über der Schwelle: { $places }.
check-coverage = Nur { $share } der Beiträge wurden erfasst: Ist eine Quelle ausgefallen?
check-open = Das Zeitfenster ist noch offen: Bei seinem Abschluss wird der Alarm bestätigt oder zurückgezogen.
check-ask = Prüfen Sie andere Quellen: Gibt es mehr Arztbesuche, Fehltage oder Tests?

## Bezeichnungen

label-what-to-check = Was zu prüfen ist
label-open = Öffnen und übernehmen
label-inbox = Eingang
label-accounts = Konten
label-ratio = Verhältnis
label-detectable = Kleinster erkennbarer Anstieg
label-voice = Ich-Form
label-news = Nachrichten
label-seen = Erfasst
label-per-million = Beiträge pro Million
label-simulated = Simulierte Daten
label-trend = Konten nach Zeitfenster
label-bound = gestrichelt: Schwelle von
label-digest = Übersicht
label-nothing-unusual = Nichts Ungewöhnliches.
label-silence = Keine Daten: kein neuer Beitrag seit
label-outage = pumphandle ist ausgefallen: Bis zum Neustart wird nichts überwacht
label-cause = Ursache
label-escalated = Dieser Alarm wurde nicht rechtzeitig übernommen.
label-new = neu
label-updated = Aktualisierung
label-below-the-line = Unter der Wochengrenze, die seltensten zuerst
label-degraded = pumphandle läuft eingeschränkt
label-recovered = pumphandle läuft wieder uneingeschränkt
label-test = pumphandle: Test des Abonnements
label-test-means = Dies ist ein Test, kein Alarm.
label-doubtful = Zweifelhaft, daher nicht sofort versandt und nicht veröffentlicht: siehe „Was zu prüfen ist“.
label-provisional = Vorläufig: beruht auf den ersten zwei Wochen, das übliche Niveau steht noch nicht fest.

## Warum der Leser dies erhält

why = Sie erhalten diese Nachricht über das Abonnement „{ $subscription }“.
change = Abonnement ändern oder beenden: { $address }
end-by-mail = Abonnement per E-Mail beenden: { $address }
works = { $new ->
    [one] pumphandle läuft; { $new } neuer Alarm in 24{ "\u00A0" }h, { $open } nicht übernommen
   *[other] pumphandle läuft; { $new } neue Alarme in 24{ "\u00A0" }h, { $open } nicht übernommen
}

## Zustände, in denen das Programm eingeschränkt arbeitet

condition-feed-silent = Quelle liefert keine Daten
condition-feed-failed = Quelle ausgefallen
condition-lag = Ergebnisse verzögert
condition-clock = Systemuhr nicht verlässlich
condition-mail-refused = E-Mail abgelehnt
condition-disk-full = Datenträger voll
condition-backlog = Rückstand von mehr als zwei Tagen
condition-token-file = Anmelden nicht möglich
condition-landing = Ergebnisse können nicht gespeichert werden
condition-no-frames = keine Zählung
condition-role-ended = eine Komponente ist ausgefallen
