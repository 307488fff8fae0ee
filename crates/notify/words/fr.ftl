### Textes des courriels, flux, webhooks et de la ligne de commande, et des alertes sur la page.
### Voir en.ftl.

## Une alerte en une phrase

posted = { $window ->
    [open] { $accounts } publié sur « { $topic } » { $place } jusqu’ici, dans les { $span } se terminant le { $end }
   *[closed] { $accounts } publié sur « { $topic } » { $place } dans les { $span } avant le { $end }
}
accounts = { $count ->
    [one] { $shown } compte a
   *[other] { $shown } comptes ont
}
rise = { $rise ->
    [above-usual] Plus de comptes que d’habitude ont
    [several-times-usual] Plusieurs fois le nombre habituel de comptes ont
   *[many-times-usual] Un nombre de comptes très supérieur à l’habitude a
}
level = { $rise ->
    [above-usual] au-dessus du niveau habituel
    [several-times-usual] plusieurs fois le niveau habituel
   *[many-times-usual] très au-dessus du niveau habituel
}
number-of-accounts = { $count ->
    [one] { $shown } compte
   *[other] { $shown } comptes
}
expected = { $count ->
    [one] { $number } attendu ({ $low }–{ $high })
   *[other] { $number } attendus ({ $low }–{ $high })
}
expected-bound = { $count ->
    [one] { $number } attendu, seuil { $bound }
   *[other] { $number } attendus, seuil { $bound }
}
withdrawn = Retirée : { $text }
span = { $unit ->
    [days] { $length } jours
   *[hours] { $length }{ "\u00A0" }h
}

## La suite de la hausse

course = Maximum { $peak } ({ $at }) ; dernière valeur { $now } ({ $end }), { $phase ->
    [rising] en hausse
    [steady] stable
    [falling] en baisse
   *[ended] terminée
}.
course-highest = Dernière valeur { $now } ({ $end }), la plus élevée jusqu’ici.
course-below = Ne dépasse plus le seuil depuis le { $since }.

## Lieux et langues

# $initial est vowel ou consonant, $ending est e ou other : pour les pays sans ligne propre.
place = { $kind ->
    [language] { $code ->
        [und] sans langue indiquée
       *[other] en { $name }
    }
    [region] ({ $name })
   *[country] { $code ->
        [AE] aux { $name }
        [BH] à { $name }
        [BS] aux { $name }
        [BZ] au { $name }
        [CU] à { $name }
        [CY] à { $name }
        [DJ] à { $name }
        [FJ] aux { $name }
        [HK] à { $name }
        [HT] à { $name }
        [KH] au { $name }
        [KM] aux { $name }
        [MC] à { $name }
        [MG] à { $name }
        [MH] aux { $name }
        [MT] à { $name }
        [MU] à { $name }
        [MV] aux { $name }
        [MX] au { $name }
        [MZ] au { $name }
        [NL] aux { $name }
        [PH] aux { $name }
        [PW] aux { $name }
        [SB] aux { $name }
        [SC] aux { $name }
        [SG] à { $name }
        [SR] au { $name }
        [TW] à { $name }
        [US] aux { $name }
        [ZW] au { $name }
       *[other] { $initial ->
            [vowel] en { $name }
           *[consonant] { $ending ->
                [e] en { $name }
               *[other] au { $name }
            }
        }
    }
}
world = dans le monde
unlocated = de lieux inconnus
language-de = allemand
language-en = anglais
language-es = espagnol
language-fr = français
language-it = italien
language-ja = japonais
language-pt = portugais
language-und = langue non indiquée

## Dates

end = { $weekday } { $day } { $month } { $year } { $time }{ "\u00A0" }{ $zone }
weekday = { $number ->
    [0] lun.
    [1] mar.
    [2] mer.
    [3] jeu.
    [4] ven.
    [5] sam.
   *[6] dim.
}
month = { $number ->
    [1] janv.
    [2] févr.
    [3] mars
    [4] avr.
    [5] mai
    [6] juin
    [7] juil.
    [8] août
    [9] sept.
    [10] oct.
    [11] nov.
   *[12] déc.
}
zone = { $zone }

## Fréquence à laquelle le hasard seul produirait une telle alerte

rarity-below-ten-years = moins d’une fois en 10 ans
rarity-years = environ une fois en { $number } ans
rarity-year = { $number ->
    [1] environ une fois par an
    [2] environ deux fois par an
    [3] environ trois fois par an
    [4] environ quatre fois par an
    [5] environ cinq fois par an
    [6] environ six fois par an
    [7] environ sept fois par an
    [8] environ huit fois par an
   *[other] environ { $number } fois par an
}
rarity-month = { $number ->
    [1] environ une fois par mois
   *[2] environ deux fois par mois
}
rarity-week = environ une fois par semaine
rarity-above-week = plus d’une fois par semaine
by-chance = { $series ->
    [0] Par hasard, { $rarity } dans l’ensemble des séries surveillées.
    [1] Par hasard, { $rarity } dans cette série.
   *[other] Par hasard, { $rarity } dans vos { $series } séries.
}

## Ce qui suit la phrase

voices = { $news ->
    [one] { $own } à la première personne, { $news } renvoie vers la presse.
   *[other] { $own } à la première personne, { $news } renvoient vers la presse.
}
voices-sample = Sur { $of } messages de l’échantillon, { voices }
located = Lieu connu pour { $share } des messages ({ $place }).
seen = { $share } des messages de ces heures ont été reçus.
history = { $number ->
    [one] Dernière alerte ici : { $outcomes }.
   *[other] { $number } dernières alertes ici : { $outcomes }.
}
outcome-health-event = { $number ->
    [one] { $number } événement
   *[other] { $number } événements
}
outcome-known = { $number ->
    [one] { $number } déjà connue
   *[other] { $number } déjà connues
}
outcome-talk-only = { $number } simple discussion
outcome-artefact = { $number ->
    [one] { $number } artefact
   *[other] { $number } artefacts
}
outcome-could-not-tell = { $number ->
    [one] { $number } indéterminée
   *[other] { $number } indéterminées
}
posts-not-cases = Des messages, pas des cas.

## À vérifier

check-one-account = Au moins { $posts } des { $of } messages de l’échantillon viennent d’un seul compte : un robot, ou une campagne ?
check-near-copies = { $posts } des { $of } messages de l’échantillon sont des quasi-doublons : relaie-t-on un même texte ?
check-new-accounts = { $posts } des { $of } messages de l’échantillon viennent de comptes récents : des inscriptions en masse, ou des robots ?
check-news = { $posts } des { $of } messages de l’échantillon renvoient vers la presse : commente-t-on un article ?
check-news-domain = { $posts } des { $of } messages de l’échantillon renvoient vers la presse, surtout vers { $domain } : commente-t-on un article ?
check-campaign = Coïncide avec { $names } : ne parle-t-on que de cela ?
check-one-link = Beaucoup de messages contiennent le même lien : partage-t-on une seule page ?
check-growth = Tous les messages ont augmenté dans la même mesure : l’activité générale du réseau a-t-elle augmenté ?
check-slow-rise = Aucun jour ne dépasse seul le seuil ; les { $days } derniers jours réunis, si : qu’est-ce qui augmente depuis ?
check-tags = Mots-dièse associés : { $tags }. S’agit-il bien de la maladie ?
check-elsewhere = Également au-dessus du seuil : { $places }.
check-coverage = Seuls { $share } des messages ont été reçus : une source était-elle en panne ?
check-open = La fenêtre est encore ouverte : à sa clôture, l’alerte sera confirmée ou retirée.
check-ask = Consultez d’autres sources : les consultations, absences ou tests augmentent-ils ?

## Libellés

label-what-to-check = À vérifier
label-open = Ouvrir et prendre en charge
label-inbox = Réception
label-accounts = Comptes
label-ratio = Rapport
label-detectable = Plus petite hausse détectable
label-voice = À la première personne
label-news = Presse
label-seen = Reçus
label-per-million = Messages par million
label-simulated = Données simulées
label-trend = Comptes par fenêtre
label-bound = tirets : seuil de
label-digest = Récapitulatif
label-nothing-unusual = Rien d’inhabituel.
label-silence = Aucune donnée : aucun nouveau message depuis le
label-outage = pumphandle s’est arrêté : rien n’est surveillé jusqu’au redémarrage
label-cause = Cause
label-escalated = Cette alerte n’a pas été prise en charge à temps.
label-new = nouvelle
label-updated = mise à jour
label-below-the-line = Sous la limite hebdomadaire, les plus rares d’abord
label-degraded = pumphandle fonctionne en mode dégradé
label-recovered = pumphandle fonctionne de nouveau normalement
label-test = pumphandle : test de l’abonnement
label-test-means = Ceci est un test, pas une alerte.
label-doubtful = Douteuse, donc ni envoyée immédiatement ni publiée : voir « À vérifier ».
label-provisional = Provisoire : fondée sur les deux premières semaines, le niveau habituel n’est pas encore établi.

## Pourquoi le lecteur reçoit ce message

why = Vous recevez ce message au titre de l’abonnement « { $subscription } ».
change = Modifier ou résilier l’abonnement : { $address }
end-by-mail = Résilier l’abonnement par courriel : { $address }
works = pumphandle fonctionne ; { $new ->
    [one] { $new } nouvelle alerte
   *[other] { $new } nouvelles alertes
} en 24{ "\u00A0" }h, { $open ->
    [one] { $open } non prise en charge
   *[other] { $open } non prises en charge
}

## États dans lesquels le programme fonctionne de façon limitée

condition-feed-silent = source sans données
condition-feed-failed = source en panne
condition-lag = résultats retardés
condition-clock = horloge système peu fiable
condition-mail-refused = courriel refusé
condition-disk-full = disque plein
condition-backlog = retard de plus de deux jours
condition-token-file = connexion impossible
condition-landing = résultats impossibles à enregistrer
condition-no-frames = aucun comptage
condition-role-ended = un composant s’est arrêté
