### Textos de correos, canales, webhooks y línea de órdenes, y de las alertas en la página.
### Véase en.ftl.

## Una alerta en una frase

posted = { $window ->
    [open] { $accounts } sobre «{ $topic }» { $place } hasta ahora, { $unit ->
        [days] en los { $span }
       *[hours] en las { $span }
    } que terminan el { $end }
   *[closed] { $accounts } sobre «{ $topic }» { $place } { $unit ->
        [days] en los { $span }
       *[hours] en las { $span }
    } hasta el { $end }
}
accounts = { $count ->
    [one] { $shown } cuenta publicó
   *[other] { $shown } cuentas publicaron
}
rise = { $rise ->
    [above-usual] Más cuentas de lo habitual publicaron
    [several-times-usual] Varias veces el número habitual de cuentas publicaron
   *[many-times-usual] Muchas veces el número habitual de cuentas publicaron
}
level = { $rise ->
    [above-usual] por encima del nivel habitual
    [several-times-usual] varias veces el nivel habitual
   *[many-times-usual] muchas veces el nivel habitual
}
number-of-accounts = { $count ->
    [one] { $shown } cuenta
   *[other] { $shown } cuentas
}
expected = { $count ->
    [one] se esperaba { $number } ({ $low }–{ $high })
   *[other] se esperaban { $number } ({ $low }–{ $high })
}
expected-bound = { $count ->
    [one] se esperaba { $number }, umbral { $bound }
   *[other] se esperaban { $number }, umbral { $bound }
}
withdrawn = Retirada: { $text }
span = { $unit ->
    [days] { $length } días
   *[hours] { $length }{ "\u00A0" }h
}

## Cómo siguió el aumento

course = Máximo { $peak } ({ $at }); último valor { $now } ({ $end }), { $phase ->
    [rising] en aumento
    [steady] estable
    [falling] en descenso
   *[ended] terminado
}.
course-highest = Último valor { $now } ({ $end }), el más alto hasta ahora.
course-below = No supera el umbral desde el { $since }.

## Lugares e idiomas

place = { $code ->
    [AE] en los { $name }
    [BS] en las { $name }
    [MV] en las { $name }
    [NL] en los { $name }
    [PH] en las { $name }
    [SC] en las { $name }
    [und] sin idioma indicado
   *[other] en { $name }
}
world = en el mundo
unlocated = desde lugares desconocidos
language-de = alemán
language-en = inglés
language-es = español
language-fr = francés
language-it = italiano
language-ja = japonés
language-pt = portugués
language-und = idioma no indicado

## Fechas

end = { $weekday } { $day } { $month } { $year } { $time }{ "\u00A0" }{ $zone }
weekday = { $number ->
    [0] lun.
    [1] mar.
    [2] mié.
    [3] jue.
    [4] vie.
    [5] sáb.
   *[6] dom.
}
month = { $number ->
    [1] ene.
    [2] feb.
    [3] mar.
    [4] abr.
    [5] may.
    [6] jun.
    [7] jul.
    [8] ago.
    [9] sept.
    [10] oct.
    [11] nov.
   *[12] dic.
}
zone = { $zone }

## Con qué frecuencia el azar por sí solo produciría una alerta así

rarity-below-ten-years = menos de una vez en 10 años
rarity-years = aproximadamente una vez en { $number } años
rarity-year = { $number ->
    [1] aproximadamente una vez al año
    [2] aproximadamente dos veces al año
    [3] aproximadamente tres veces al año
    [4] aproximadamente cuatro veces al año
    [5] aproximadamente cinco veces al año
    [6] aproximadamente seis veces al año
    [7] aproximadamente siete veces al año
    [8] aproximadamente ocho veces al año
   *[other] aproximadamente { $number } veces al año
}
rarity-month = { $number ->
    [1] aproximadamente una vez al mes
   *[2] aproximadamente dos veces al mes
}
rarity-week = aproximadamente una vez por semana
rarity-above-week = más de una vez por semana
by-chance = { $series ->
    [0] Por azar, { $rarity } en el conjunto de las series vigiladas.
    [1] Por azar, { $rarity } en esta serie.
   *[other] Por azar, { $rarity } en sus { $series } series.
}

## Lo que sigue a la frase

voices = { $news ->
    [one] { $own } en primera persona, { $news } enlaza a noticias.
   *[other] { $own } en primera persona, { $news } enlazan a noticias.
}
voices-sample = De { $of } mensajes de la muestra, { voices }
located = Lugar conocido en el { $share } de los mensajes ({ $place }).
seen = Se recibió el { $share } de los mensajes de estas horas.
history = { $number ->
    [one] Última alerta aquí: { $outcomes }.
   *[other] Últimas { $number } alertas aquí: { $outcomes }.
}
outcome-health-event = { $number ->
    [one] { $number } evento
   *[other] { $number } eventos
}
outcome-known = { $number ->
    [one] { $number } ya conocida
   *[other] { $number } ya conocidas
}
outcome-talk-only = { $number } solo conversación
outcome-artefact = { $number ->
    [one] { $number } artefacto
   *[other] { $number } artefactos
}
outcome-could-not-tell = { $number } sin determinar
posts-not-cases = Mensajes, no casos.

## Qué comprobar

check-one-account = Al menos { $posts } de { $of } mensajes de la muestra son de una sola cuenta: ¿un bot, o una campaña?
check-near-copies = { $posts } de { $of } mensajes de la muestra son casi duplicados: ¿se difunde un mismo texto?
check-new-accounts = { $posts } de { $of } mensajes de la muestra son de cuentas nuevas: ¿registros masivos, o bots?
check-news = { $posts } de { $of } mensajes de la muestra enlazan a noticias: ¿se comenta una noticia?
check-news-domain = { $posts } de { $of } mensajes de la muestra enlazan a noticias, sobre todo a { $domain }: ¿se comenta una noticia?
check-campaign = Coincide con { $names }: ¿se habla solo de eso?
check-one-link = Muchos mensajes contienen el mismo enlace: ¿se comparte una sola página?
check-growth = Todos los mensajes aumentaron en igual medida: ¿aumentó la actividad general de la red?
check-slow-rise = Ningún día supera por sí solo el umbral; los últimos { $days } días juntos sí: ¿qué aumenta desde entonces?
check-tags = Etiquetas asociadas: { $tags }. ¿Se trata de la enfermedad?
check-elsewhere = También por encima del umbral: { $places }.
check-coverage = Solo se recibió el { $share } de los mensajes: ¿falló una fuente?
check-open = La ventana sigue abierta: al cerrarse, la alerta se confirma o se retira.
check-ask = Consulte otras fuentes: ¿aumentan las consultas, ausencias o pruebas?

## Rótulos

label-what-to-check = Qué comprobar
label-open = Abrir y atender
label-inbox = Bandeja
label-accounts = Cuentas
label-ratio = Razón
label-detectable = Menor aumento detectable
label-voice = En primera persona
label-news = Noticias
label-seen = Recibidos
label-per-million = Mensajes por millón
label-simulated = Datos simulados
label-trend = Cuentas por ventana
label-bound = guiones: umbral de
label-digest = Resumen
label-nothing-unusual = Nada inusual.
label-silence = Sin datos: ningún mensaje nuevo desde el
label-outage = pumphandle se ha detenido: no se vigila nada hasta que se reinicie
label-cause = Causa
label-escalated = Esta alerta no se ha atendido a tiempo.
label-new = nueva
label-updated = actualización
label-below-the-line = Por debajo del límite semanal, las más raras primero
label-degraded = pumphandle funciona de forma limitada
label-recovered = pumphandle vuelve a funcionar con normalidad
label-test = pumphandle: prueba de la suscripción
label-test-means = Esto es una prueba, no una alerta.
label-doubtful = Dudosa, por lo que no se envía de inmediato ni se publica: vea «Qué comprobar».
label-provisional = Provisional: basada en las dos primeras semanas, el nivel habitual aún no está establecido.

## Por qué el lector recibe este mensaje

why = Recibe este mensaje por la suscripción «{ $subscription }».
change = Cambiar o cancelar la suscripción: { $address }
end-by-mail = Cancelar la suscripción por correo: { $address }
works = { $new ->
    [one] pumphandle funciona; { $new } alerta nueva en 24{ "\u00A0" }h, { $open } sin atender
   *[other] pumphandle funciona; { $new } alertas nuevas en 24{ "\u00A0" }h, { $open } sin atender
}

## Estados en los que el programa funciona de forma limitada

condition-feed-silent = fuente sin datos
condition-feed-failed = fallo de la fuente
condition-lag = resultados retrasados
condition-clock = reloj del sistema poco fiable
condition-mail-refused = correo rechazado
condition-disk-full = disco lleno
condition-backlog = retraso de más de dos días
condition-token-file = no se puede iniciar sesión
condition-landing = no se pueden guardar los resultados
condition-no-frames = sin recuento
condition-role-ended = un componente se ha detenido
