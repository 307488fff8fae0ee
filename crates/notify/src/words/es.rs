//! The phrase book in Spanish.

use record::public::Rise;
use record::{Micros, Outcome};

use super::{Book, Check, Label, Often, clock, hours_or_days};
use crate::zone::Local;

pub(super) struct Spanish;

const DAYS: [&str; 7] = ["lun.", "mar.", "mié.", "jue.", "vie.", "sáb.", "dom."];
const MONTHS: [&str; 12] = [
    "ene.", "feb.", "mar.", "abr.", "may.", "jun.", "jul.", "ago.", "sept.", "oct.", "nov.", "dic.",
];
const NUMBERS: [&str; 6] = ["tres", "cuatro", "cinco", "seis", "siete", "ocho"];

impl Book for Spanish {
    fn accounts(&self, number: u64, shown: &str) -> String {
        format!("{shown} {}", if number == 1 { "cuenta publicó" } else { "cuentas publicaron" })
    }

    fn rise(&self, rise: Rise) -> &'static str {
        match rise {
            Rise::Above => "Más cuentas de lo habitual publicaron",
            Rise::Several => "Varias veces el número habitual de cuentas publicaron",
            Rise::Many => "Muchas veces el número habitual de cuentas publicaron",
        }
    }

    fn level(&self, rise: Rise) -> &'static str {
        match rise {
            Rise::Above => "por encima del nivel habitual",
            Rise::Several => "varias veces el nivel habitual",
            Rise::Many => "muchas veces el nivel habitual",
        }
    }

    fn posted(&self, topic: &str, place: &str, span: &str, end: &str, is_open: bool) -> String {
        let when = if is_open {
            format!("hasta ahora, en las {span} que terminan el {end}")
        } else {
            format!("en las {span} hasta el {end}")
        };
        let when = if span.ends_with("días") { when.replace("en las", "en los") } else { when };
        format!("sobre «{topic}» {place} {when}")
    }

    fn expected(&self, number: &str, interval: Option<(&str, &str)>, bound: &str) -> String {
        match interval {
            Some((low, high)) => format!("se esperaban {number} ({low}–{high})"),
            None => format!("se esperaban {number}, umbral {bound}"),
        }
    }

    fn place(&self, code: &str, name: &str) -> String {
        match code {
            "NL" | "AE" => format!("en los {name}"),
            "PH" | "BS" | "SC" | "MV" => format!("en las {name}"),
            _ => format!("en {name}"),
        }
    }

    fn world(&self) -> &'static str {
        "en el mundo"
    }

    fn unlocated(&self) -> &'static str {
        "desde lugares desconocidos"
    }

    fn span(&self, length: Micros) -> String {
        match hours_or_days(length) {
            (true, days) => format!("{days} días"),
            (false, hours) => format!("{hours}\u{a0}h"),
        }
    }

    fn end(&self, local: &Local) -> String {
        let day = DAYS[usize::from(local.weekday)];
        let (date, month, year) =
            (local.day_of_month, MONTHS[usize::from(local.month - 1)], local.year);
        format!("{day} {date} {month} {year} {}\u{a0}{}", clock(local), local.zone)
    }

    fn rarity(&self, often: Often) -> String {
        match often {
            Often::RarerThanTenYears => "menos de una vez en 10 años".to_owned(),
            Often::OnceInYears(years) => format!("aproximadamente una vez en {years} años"),
            Often::Yearly => "aproximadamente una vez al año".to_owned(),
            Often::TimesAYear(2) => "aproximadamente dos veces al año".to_owned(),
            Often::TimesAYear(times) => {
                let name = (times as usize)
                    .checked_sub(3)
                    .and_then(|at| NUMBERS.get(at))
                    .map_or_else(|| times.to_string(), |name| (*name).to_owned());
                format!("aproximadamente {name} veces al año")
            }
            Often::Monthly => "aproximadamente una vez al mes".to_owned(),
            Often::TwiceAMonth => "aproximadamente dos veces al mes".to_owned(),
            Often::Weekly => "aproximadamente una vez por semana".to_owned(),
            Often::MoreThanWeekly => "más de una vez por semana".to_owned(),
        }
    }

    fn by_chance(&self, rarity: &str, series: u32) -> String {
        match series {
            0 => format!("Por azar, {rarity} en el conjunto de las series vigiladas."),
            1 => format!("Por azar, {rarity} en esta serie."),
            _ => format!("Por azar, {rarity} en sus {series} series."),
        }
    }

    fn voices(&self, own: u32, news: u32, of: Option<u32>) -> String {
        let link = if news == 1 { "enlaza" } else { "enlazan" };
        match of {
            Some(of) => format!(
                "De {of} mensajes de la muestra, {own} en primera persona, {news} {link} a \
                    noticias."
            ),
            None => format!("{own} en primera persona, {news} {link} a noticias."),
        }
    }

    fn located(&self, percent: &str, place: &str) -> String {
        format!("Lugar conocido para el {percent} de los mensajes ({place}).")
    }

    fn seen(&self, percent: &str) -> String {
        format!("Se recibió el {percent} de los mensajes de estas horas.")
    }

    fn history(&self, outcomes: &[(Outcome, u32)], n: u32) -> String {
        let shown: Vec<String> = outcomes
            .iter()
            .map(|(outcome, count)| {
                let name = match outcome {
                    Outcome::HealthEvent if *count == 1 => "evento",
                    Outcome::HealthEvent => "eventos",
                    Outcome::Known => "ya conocido",
                    Outcome::TalkOnly => "solo conversación",
                    Outcome::Artefact => "artefacto",
                    Outcome::CouldNotTell => "sin determinar",
                };
                format!("{count} {name}")
            })
            .collect();
        let alerts = if n == 1 {
            "Última alerta aquí".to_owned()
        } else {
            format!("Últimas {n} alertas aquí")
        };
        format!("{alerts}: {}.", shown.join(", "))
    }

    fn posts_not_cases(&self) -> &'static str {
        "Mensajes, no casos."
    }

    fn withdrawn(&self) -> &'static str {
        "Retirada: "
    }

    fn check(&self, check: &Check) -> String {
        match check {
            Check::OneAuthor { posts, of } => {
                format!(
                    "Al menos {posts} de {of} mensajes de la muestra son de una sola cuenta: ¿un \
                        bot, o una campaña?"
                )
            }
            Check::NearCopies { posts, of } => format!(
                "{posts} de {of} mensajes de la muestra son casi duplicados: ¿se difunde un mismo texto?"
            ),
            Check::NewAccounts { posts, of } => {
                format!(
                    "{posts} de {of} mensajes de la muestra son de cuentas nuevas: ¿registros \
                        masivos, o bots?"
                )
            }
            Check::News { posts, of, domain: Some(domain) } => {
                format!(
                    "{posts} de {of} mensajes de la muestra enlazan a noticias, sobre todo a \
                        {domain}: ¿se comenta una noticia?"
                )
            }
            Check::News { posts, of, domain: None } => {
                format!(
                    "{posts} de {of} mensajes de la muestra enlazan a noticias: ¿se comenta una \
                        noticia?"
                )
            }
            Check::Campaign(names) => format!("Coincide con {names}: ¿se habla solo de eso?"),
            Check::OneLink => {
                "Muchos mensajes contienen el mismo enlace: ¿se comparte una sola página?"
                    .to_owned()
            }
            Check::Growth => {
                "Todos los mensajes aumentaron en igual medida: ¿creció la red y no el tema?"
                    .to_owned()
            }
            Check::SlowRise(days) => {
                format!(
                    "Ningún día supera por sí solo el umbral; los últimos {days} días juntos sí: \
                        ¿qué aumenta desde entonces?"
                )
            }
            Check::Tags(tags) => {
                format!("Etiquetas asociadas: {tags}. ¿Se trata de la enfermedad?")
            }
            Check::Elsewhere(places) => format!("También por encima del umbral: {places}."),
            Check::Coverage(percent) => {
                format!("Solo se recibió el {percent} de los mensajes: ¿falló una fuente?")
            }
            Check::Open => {
                "La ventana sigue abierta: a su cierre, la alerta se confirma o se retira."
                    .to_owned()
            }
            Check::Ask => {
                "Consulte otras fuentes: ¿aumentan las consultas, ausencias o pruebas?".to_owned()
            }
        }
    }

    fn label(&self, label: Label) -> &'static str {
        match label {
            Label::WhatToCheck => "Qué comprobar",
            Label::Open => "Abrir y atender",
            Label::Inbox => "Bandeja",
            Label::Accounts => "Cuentas",
            Label::Ratio => "Razón",
            Label::Detectable => "Menor aumento detectable",
            Label::Voice => "En primera persona",
            Label::News => "Noticias",
            Label::Seen => "Recibidos",
            Label::PerMillion => "Mensajes por millón",
            Label::Simulated => "Datos simulados",
            Label::Trend => "Cuentas por ventana",
            Label::Bound => "trazos: umbral de",
            Label::Digest => "Resumen",
            Label::NothingUnusual => "Nada inusual.",
            Label::Silence => "Sin datos: ningún mensaje nuevo desde el",
            Label::Outage => "pumphandle se ha detenido: no se vigila nada hasta que se reinicie",
            Label::Cause => "Causa",
            Label::Escalated => "Esta alerta no se ha atendido a tiempo.",
            Label::New => "nueva",
            Label::Updated => "actualización",
            Label::BelowTheLine => "Por debajo del límite semanal, las más raras primero",
            Label::Degraded => "pumphandle funciona de forma limitada",
            Label::Recovered => "pumphandle vuelve a funcionar con normalidad",
            Label::Test => "pumphandle: prueba de la suscripción",
            Label::TestMeans => "Esto es una prueba, no una alerta.",
            Label::Doubtful => "Dudosa: vea «Qué comprobar».",
            Label::Provisional => {
                "Provisional: basada en las dos primeras semanas, el nivel habitual aún no está \
                establecido."
            }
        }
    }

    fn decimal_comma(&self) -> bool {
        true
    }

    fn thousands(&self) -> &'static str {
        "."
    }

    fn in_sentence(&self, name: &str) -> String {
        super::lowered(name)
    }

    fn language(&self, code: &str) -> Option<&'static str> {
        Some(match code {
            "en" => "inglés",
            "fr" => "francés",
            "es" => "español",
            "de" => "alemán",
            "pt" => "portugués",
            "it" => "italiano",
            "ja" => "japonés",
            "und" => "idioma no declarado",
            _ => return None,
        })
    }

    fn why(&self, subscription: &str) -> String {
        format!("Recibe este mensaje por la suscripción «{subscription}».")
    }

    fn change(&self, address: &str) -> String {
        format!("Cambiar o cancelar la suscripción: {address}")
    }

    fn end_by_mail(&self, address: &str) -> String {
        format!("Cancelar la suscripción por correo: {address}")
    }

    fn works(&self, new: u32, unacknowledged: u32) -> String {
        let alerts = if new == 1 { "alerta nueva" } else { "alertas nuevas" };
        format!("pumphandle funciona; {new} {alerts} en 24\u{a0}h, {unacknowledged} sin atender")
    }
}
