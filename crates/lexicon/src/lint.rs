//! Lint for topic files: valid but doubtful definitions.
//!
//! `parse` and `Lexicon::new` refuse what can't be read; this says what a careful editor would ask
//! about. Looks at topics alone: it has read no post, and knows no more words than the short lists
//! below.

use std::collections::{BTreeMap, BTreeSet};

use record::diagnostic::Diagnostic;
use record::kind::Kind;
use record::text::fold;

use crate::calendar::Date;
use crate::characters::is_unspaced;
use crate::segment::Tokens;
use crate::topics::{ANY, Entry, Topic};

/// The languages that what is judged must have tags in, and those that the rest must have tags or
/// phrases in.
pub const LANGUAGES: [&str; 10] = ["en", "es", "fr", "de", "it", "pt", "pl", "ru", "ar", "ja"];
pub const LANGUAGES_OF_TALK: [&str; 6] = ["en", "es", "fr", "de", "it", "pt"];

/// Keys shorter than this lie close to each other by nature.
const NEAR_CHARACTERS_MIN: usize = 7;

/// Everything that an editor should look at, by file and line.
pub fn lint(topics: &[Topic]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let keys = keys_of(topics);
    for topic in topics {
        check_repeated(topic, &mut problems);
        check_common_words(topic, &mut problems);
        check_languages(topic, &mut problems);
        check_fields(topic, &mut problems);
    }
    check_shared(&keys, &mut problems);
    check_near(&keys, &mut problems);
    problems.sort_by(|a, b| (&a.place, &a.message).cmp(&(&b.place, &b.message)));
    problems.dedup();
    problems
}

/// The topics whose review was due before `today`, and crises that have ended before it.
pub fn overdue(topics: &[Topic], today: Date) -> Vec<Diagnostic> {
    let due = topics.iter().filter_map(|topic| {
        topic.review.filter(|&review| review < today).map(|review| (topic, review))
    });
    let due = due.map(|(topic, review)| {
        let hint = topic
            .source
            .as_ref()
            .map(|source| format!("read {source} again, mend the topic, and set a new day"));
        problem(
            topic,
            topic.line,
            format!("topic `{}` was to be reviewed by {review}", topic.id),
            hint,
        )
    });
    let over = topics.iter().filter_map(|topic| {
        let until = topic
            .crisis
            .as_ref()
            .map(|crisis| crisis.until)
            .filter(|until| Date::of(*until).is_some_and(|day| day < today))?;
        let hint = format!("`pumphandle crisis stop {}` takes it out", topic.id);
        Some(problem(
            topic,
            topic.line,
            format!("crisis `{}` ended at {}", topic.id, record::time::display(until)),
            Some(hint),
        ))
    });
    due.chain(over).collect()
}

type Keys<'topics> = BTreeMap<String, Vec<(&'topics Topic, &'topics Entry)>>;

fn keys_of(topics: &[Topic]) -> Keys<'_> {
    let mut keys = Keys::new();
    for topic in topics {
        for entry in &topic.tags {
            keys.entry(fold(&entry.text)).or_default().push((topic, entry));
        }
    }
    keys
}

/// Spellings of one key in one list: folding makes them one already.
fn check_repeated(topic: &Topic, problems: &mut Vec<Diagnostic>) {
    let lists = [
        ("tag", &topic.tags),
        ("phrase", &topic.phrases),
        ("tag", &topic.exclude_tags),
        ("phrase", &topic.exclude_phrases),
    ];
    for (what, entries) in lists {
        let mut seen: BTreeMap<(&str, String), &Entry> = BTreeMap::new();
        for entry in entries {
            let key = fold(&entry.text);
            match seen.get(&(entry.lang.as_str(), key.clone())) {
                Some(first) => {
                    let message = format!(
                        "{what} `{}` of `{}` is folded to `{key}`, as `{}` is",
                        entry.text, topic.id, first.text
                    );
                    problems.push(problem(
                        topic,
                        entry.line,
                        message,
                        Some("leave one of them out".to_owned()),
                    ));
                }
                None => {
                    seen.insert((&entry.lang, key), entry);
                }
            }
        }
    }
}

fn check_common_words(topic: &Topic, problems: &mut Vec<Diagnostic>) {
    for entry in &topic.tags {
        let key = fold(&entry.text);
        for (lang, words) in COMMON_WORDS {
            if words.split_whitespace().any(|word| fold(word) == key) {
                let message =
                    format!("tag `{}` of `{}` is a common word ({lang})", entry.text, topic.id);
                problems.push(problem(
                    topic,
                    entry.line,
                    message,
                    Some("say more precisely what is meant".to_owned()),
                ));
            }
        }
    }
}

fn check_languages(topic: &Topic, problems: &mut Vec<Diagnostic>) {
    let is_judged = matches!(topic.kind, Kind::Symptom | Kind::Disease | Kind::Sensitive);
    let mut there: BTreeSet<&str> = topic.tags.iter().map(|entry| primary(&entry.lang)).collect();
    if !is_judged {
        there.extend(topic.phrases.iter().map(|entry| primary(&entry.lang)));
    }
    let wanted: &[&str] = if is_judged { &LANGUAGES } else { &LANGUAGES_OF_TALK };
    let missing: Vec<&str> = wanted.iter().copied().filter(|lang| !there.contains(lang)).collect();
    let is_for_all = !is_judged && there.iter().all(|lang| *lang == ANY);
    if !missing.is_empty() && !is_for_all {
        let what = if is_judged { "tags" } else { "tags or phrases" };
        let message = format!("topic `{}` has no {what} in {}", topic.id, missing.join(", "));
        problems.push(problem(topic, topic.line, message, None));
    }
}

fn check_fields(topic: &Topic, problems: &mut Vec<Diagnostic>) {
    let is_narrative = topic.kind == Kind::Narrative;
    if is_narrative && topic.source.is_none() {
        problems.push(problem(
            topic,
            topic.line,
            format!("narrative `{}` names no `source`", topic.id),
            None,
        ));
    }
    if is_narrative && topic.review.is_none() {
        problems.push(problem(
            topic,
            topic.line,
            format!("narrative `{}` names no day of `review`", topic.id),
            None,
        ));
    }
    if topic.kind != Kind::Campaign && !topic.days.is_empty() {
        problems.push(problem(
            topic,
            topic.line,
            format!("topic `{}` has `days`, but is no campaign", topic.id),
            None,
        ));
    }
    let keys: BTreeSet<String> = topic.tags.iter().map(|entry| fold(&entry.text)).collect();
    for entry in topic.shared.iter().filter(|entry| !keys.contains(&fold(&entry.text))) {
        let message =
            format!("topic `{}` shares `{}`, which is none of its tags", topic.id, entry.text);
        problems.push(problem(topic, entry.line, message, None));
    }
}

/// One key, several topics: a post then counts in each.
fn check_shared(keys: &Keys<'_>, problems: &mut Vec<Diagnostic>) {
    for (key, uses) in keys {
        let declares = |topic: &Topic| topic.shared.iter().any(|entry| fold(&entry.text) == *key);
        let Some(((first, _), rest)) = uses.split_first() else {
            continue;
        };
        for (topic, entry) in rest.iter().filter(|(topic, _)| topic.id != first.id) {
            if declares(topic) && declares(first) {
                continue;
            }
            let hint =
                format!("leave it to one of them, or say `shared = [\"{}\"]` in both", entry.text);
            let message =
                format!("tag `{}` of `{}` is a tag of `{}` too", entry.text, topic.id, first.id);
            problems.push(problem(topic, entry.line, message, Some(hint)));
        }
    }
}

/// Long keys of different topics that differ by one letter put in, left out or exchanged.
fn check_near(keys: &Keys<'_>, problems: &mut Vec<Diagnostic>) {
    let long = keys.iter().filter(|(key, _)| key.chars().count() >= NEAR_CHARACTERS_MIN);
    // Two keys one edit apart have a form in common that lacks one letter of each or of the longer.
    let mut by_form: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (key, _) in long {
        by_form.entry(key.clone()).or_default().insert(key);
        for (at, c) in key.char_indices() {
            let form = [&key[..at], &key[at + c.len_utf8()..]].concat();
            by_form.entry(form).or_default().insert(key);
        }
    }
    let mut pairs: BTreeSet<(&str, &str)> = BTreeSet::new();
    for near in by_form.values() {
        for &a in near {
            pairs.extend(
                near.iter().filter(|&&b| a < b && strsim::levenshtein(a, b) == 1).map(|&b| (a, b)),
            );
        }
    }
    for (a, b) in pairs {
        let (Some(first), Some(second)) = (keys[a].first(), keys[b].first()) else {
            continue;
        };
        let ids = |key: &str| -> BTreeSet<&str> {
            keys[key].iter().map(|(topic, _)| topic.id.as_str()).collect()
        };
        if ids(a).is_disjoint(&ids(b)) && !differ_by_name(&first.1.text, &second.1.text) {
            let message = format!(
                "tag `{}` of `{}` is nearly `{}` of `{}`",
                second.1.text, second.0.id, first.1.text, first.0.id
            );
            problems.push(problem(
                second.0,
                second.1.line,
                message,
                Some("see whether one of them is misspelt".to_owned()),
            ));
        }
    }
}

/// Hepatitis A is no slip for hepatitis B, nor bird flu for flu: a token of one character differs
/// or is there in one only, or the last character of keys of one length; in scripts without blanks
/// one character may be a word.
fn differ_by_name(a: &str, b: &str) -> bool {
    let (key_a, key_b): (Vec<char>, Vec<char>) =
        (fold(a).chars().collect(), fold(b).chars().collect());
    if key_a.len() == key_b.len() && key_a[..key_a.len() - 1] == key_b[..key_b.len() - 1] {
        return true;
    }
    if key_a.len() != key_b.len() {
        let (long, short) =
            if key_a.len() > key_b.len() { (&key_a, &key_b) } else { (&key_b, &key_a) };
        let at = long.iter().zip(short.iter()).take_while(|(a, b)| a == b).count();
        if is_unspaced(long[at]) && (at == 0 || at == short.len()) {
            return true;
        }
    }
    let (a, b) = (tokens(a), tokens(b));
    let same_before = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let same_behind = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let differing = |tokens: &[String]| tokens.len().saturating_sub(same_before + same_behind);
    let short = |tokens: &[String]| {
        differing(tokens) == 0
            || (differing(tokens) == 1 && tokens[same_before].chars().count() == 1)
    };
    a.len().max(b.len()) > 1 && short(&a) && short(&b)
}

fn tokens(written: &str) -> Vec<String> {
    let tokens = Tokens::of(written);
    (0..tokens.len()).map(|at| tokens.run(at, at).to_owned()).collect()
}

fn primary(lang: &str) -> &str {
    lang.split('-').next().unwrap_or(lang)
}

fn problem(topic: &Topic, line: usize, message: String, hint: Option<String>) -> Diagnostic {
    Diagnostic { hint, ..Diagnostic::at(&topic.file, line, message) }
}

/// Words that people tag for a hundred reasons. Short on purpose: the words that lie near what is
/// watched.
const COMMON_WORDS: &[(&str, &str)] = &[
    (
        "en",
        "a the and you me we all day night love life live news health healthy medical medicine \
            doctor doctors hospital nurse virus viral \
         bug bugs sick ill pain hot cold heat fire water air smoke flood rain weather rash rage \
         pox bite spots stroke shot jab shots sore \
         tired sleep nose head eye eyes ear throat chest stomach belly skin blood liver back red \
         cramp chills sweat dizzy food school travel",
    ),
    (
        "fr",
        "le la les un une et je tu on nous jour nuit vie amour santé médecin hôpital virus malade \
            mal chaud froid chaleur feu eau air fumée \
         pluie rage mers rouge nez tête gorge ventre peau sang dos fatigue sommeil bouton boutons \
         peste tique maux plaie ecole voyage",
    ),
    (
        "es",
        "el la los un una y yo tú día noche vida amor salud médico hospital virus enfermo mal \
            calor frío fuego agua aire humo lluvia rabia \
         peste rojo nariz cabeza garganta vientre piel sangre espalda cansancio sueño grano granos \
         dolor escuela viaje",
    ),
    (
        "de",
        "der die das ein eine und ich du wir tag nacht leben liebe gesundheit arzt krankenhaus \
            virus krank heiß kalt hitze feuer wasser luft \
         rauch regen rot nase kopf hals bauch haut blut rücken müde schlaf weh schmerz schule \
         reise krampf wut",
    ),
    (
        "it",
        "il la i un una e io tu noi giorno notte vita amore salute medico ospedale virus malato \
            male caldo freddo fuoco acqua aria fumo \
         pioggia rabbia peste tifo rosso naso testa gola pancia pelle sangue schiena stanchezza \
         sonno dolore scuola viaggio",
    ),
    (
        "pt",
        "o a os um uma e eu tu nós dia noite vida amor saúde médico hospital vírus doente mal \
            quente frio fogo água ar fumo fumaça chuva raiva \
         peste vermelho nariz cabeça garganta barriga pele sangue costas cansaço sono dor escola \
         viagem",
    ),
    (
        "pl",
        "i w na ja ty my dzień noc życie miłość zdrowie lekarz szpital wirus chory gorąco zimno \
            ogień woda powietrze dym deszcz czerwony nos \
         głowa gardło brzuch skóra krew plecy sen ból szkoła świnka odra podróż",
    ),
    (
        "ru",
        "и в на я ты мы день ночь жизнь любовь здоровье врач больница вирус жара холод огонь вода \
            воздух дым дождь красный нос голова горло \
         живот кожа кровь спина сон боль школа чума бешенство температура",
    ),
    (
        "ar",
        "في من على انا يوم ليل حياة حب صحة طبيب مستشفى فيروس مرض حر برد نار ماء هواء دخان مطر احمر \
            انف راس حلق بطن جلد دم ظهر نوم الم مدرسة سفر",
    ),
    (
        "ja",
        "日 夜 愛 命 健康 医者 病院 病気 熱 火 水 空気 煙 雨 赤 鼻 頭 喉 腹 肌 血 背中 睡眠 痛み 学校 旅行 暑い 寒い",
    ),
];
