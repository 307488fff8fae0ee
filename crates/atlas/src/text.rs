//! Geocoding of texts in which people state where they are.
//!
//! Flags and coordinates are taken out; the rest is cut into words, the longest names of the
//! dictionary are found in them, and each region is scored by how well all the names fit it:
//! "Paris" alone is France's, but only Texas fits "Paris" and "TX" together. Words that are also
//! places, small places and abbreviations count only next to a name that agrees. What is not clear
//! enough is `ZZ`.

use std::collections::BTreeMap;

use record::region::Level;

use crate::located::{Flag, Flags, Located, Provenance, Reason};
use crate::names::{self, Kind, Meaning as NameMeaning, Names};
use crate::point::answer;
use crate::regions::Region;
use crate::written;

/// What a text says of its author. A mention is never a residence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meaning {
    /// Where the post was written: a platform's place.
    AuthorAt,
    /// Where the author says to live: a profile.
    AuthorHome,
    /// What the post speaks of.
    Mentioned,
}

impl Meaning {
    pub fn provenance(self) -> Provenance {
        match self {
            Meaning::AuthorAt => Provenance::Place,
            Meaning::AuthorHome => Provenance::Profile,
            Meaning::Mentioned => Provenance::Mention,
        }
    }
}

/// Longer texts are cut.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// Answers less sure than this are `ZZ`.
pub const CONFIDENCE_MIN: f64 = 0.5;
/// A place twice as big is more than twice as likely to be meant.
const PRIOR: f64 = 1.15;
const NAME_WORDS_MAX: usize = 6;
const NAME_CHARACTERS_MAX: usize = 12;
const MATCHES_MAX: usize = 16;
/// A single word that names no bigger town than this is not believed alone.
const POPULATION_STRONG: f64 = 15_000.0;
/// How little of a name's people may live where a text without a container puts it.
const SHARE_MIN: f64 = 0.2;
/// What a hypothesis is left with for each name that doesn't fit.
const MISFIT: f64 = 1e-5;
/// The first level is answered if it is at least so likely within its country.
const FIRST_LEVEL_MIN: f64 = 0.6;

/// A name found in the text.
#[derive(Debug)]
struct Match {
    /// Region, kind, share of the name's weight.
    candidates: Vec<(u16, Kind, f64)>,
    /// Of the biggest candidate.
    population: f64,
    /// Counts only next to another that agrees.
    weak: bool,
    stop: bool,
    /// After "in", "from" and the like.
    placed: bool,
}

struct Word {
    key: String,
    upper: bool,
    capital: bool,
    /// The first word after a comma, and alone up to the next separator.
    alone_after_comma: bool,
    ends_segment: bool,
    cased: bool,
}

pub(crate) fn locate<'a>(
    text: &str,
    meaning: Meaning,
    names: &Names,
    regions: &'a [Region],
) -> Located<'a> {
    let provenance = meaning.provenance();
    let mut cut = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let (rest, signs) = written::take_flags(&text[..cut], |code| find(regions, code));
    let segments = words_of(&rest);
    if segments.is_empty() && signs.is_empty() {
        return Located::nowhere(provenance, Reason::Empty);
    }
    let mention = meaning == Meaning::Mentioned;
    let (mut matches, unmatched, matched) = matches_of(&segments, mention, names, regions);
    let mut flags = Flags::default();
    for sign in &signs {
        matches.push(sign_match(*sign, signs.len() > 1, regions));
    }
    if matches.iter().all(|found| found.weak) {
        // A single small place is named with its reason; so are words that are also places.
        let reason = match matches.as_slice() {
            [] => Reason::NoPlace,
            _ if signs.len() > 1 => Reason::Multi,
            all if all.iter().all(|found| found.stop) => Reason::CommonWord,
            _ => Reason::Unsure,
        };
        // Two weak ones that agree are enough if one contains the other.
        if matches.len() < 2 || !is_contained(&matches, regions) {
            return Located::nowhere(provenance, reason);
        }
        matches.iter_mut().filter(|found| !found.stop).for_each(|found| found.weak = false);
        if matches.iter().all(|found| found.weak) {
            return Located::nowhere(provenance, reason);
        }
    }
    let Some(best) = judge(&matches, regions) else {
        return Located::nowhere(provenance, Reason::NoPlace);
    };
    let Verdict { region, country_share, first_share, agreeing, conflict } = match best {
        Ok(verdict) => verdict,
        Err(reason) => return Located::nowhere(provenance, reason),
    };
    if !signs.is_empty() {
        flags.add(Flag::FlagSign);
    }
    let strength = if agreeing > 1 {
        0.97
    } else {
        matches.iter().filter(|found| !found.weak).map(strength_of).fold(0.0, f64::max)
    };
    let placed = matches.iter().any(|found| found.placed && !found.weak);
    let coverage = matched as f64 / (matched + unmatched).max(1) as f64;
    let cover = match coverage {
        _ if mention => 0.9,
        _ if coverage > 0.99 || (matched == 0 && !signs.is_empty()) => 1.0,
        _ if placed || coverage >= 0.5 => 0.9,
        _ => 0.68,
    };
    let mut confidence = strength * cover * country_share;
    if confidence < CONFIDENCE_MIN {
        let reason = if country_share < 0.6 { Reason::Ambiguous } else { Reason::Unsure };
        return Located::nowhere(provenance, reason);
    }
    let mut located = Located::nowhere(provenance, Reason::NoPlace);
    let is_first = !regions[usize::from(region)].is_country();
    let chosen = if is_first && first_share < FIRST_LEVEL_MIN {
        flags.add(Flag::AmbiguousFirstLevel);
        regions[usize::from(region)].country
    } else {
        region
    };
    if conflict {
        flags.add(Flag::Multi);
    }
    answer(&mut located, chosen, regions);
    if located.level == Level::First {
        confidence *= first_share;
    }
    located.confidence = confidence;
    located.flags = flags;
    located
}

/// How far a single name is to be believed.
fn strength_of(found: &Match) -> f64 {
    let kind = found
        .candidates
        .iter()
        .max_by(|a, b| a.2.total_cmp(&b.2))
        .map_or(Kind::Other, |candidate| candidate.1);
    let by_size = match found.population {
        n if n >= 1e6 => 0.95,
        n if n >= 2e5 => 0.9,
        n if n >= 5e4 => 0.8,
        n if n >= POPULATION_STRONG => 0.7,
        n if n >= 5e3 => 0.6,
        _ => 0.52,
    };
    match kind {
        Kind::Country => 0.97,
        Kind::First => 0.95,
        Kind::Town => by_size,
        Kind::Other => by_size - 0.05,
    }
}

struct Verdict {
    region: u16,
    /// How likely the country is, and its part within it.
    country_share: f64,
    first_share: f64,
    agreeing: usize,
    /// The country fits all names, no part of it does.
    conflict: bool,
}

/// The share of a name's weight that fits a region: its own, its country's, and for a country all
/// within it.
fn share(found: &Match, region: u16, regions: &[Region]) -> f64 {
    let country = regions[usize::from(region)].country;
    found
        .candidates
        .iter()
        .filter(|(candidate, _, _)| {
            *candidate == region
                || *candidate == country
                || (region == country && regions[usize::from(*candidate)].country == country)
        })
        .map(|candidate| candidate.2)
        .sum()
}

/// Whether a name is one of a region itself or its country, not of a town in it.
fn contains(found: &Match, region: u16, regions: &[Region]) -> bool {
    let country = regions[usize::from(region)].country;
    found.candidates.iter().any(|(candidate, kind, share)| {
        *kind <= Kind::First && *share > 0.02 && (*candidate == region || *candidate == country)
    })
}

fn is_contained(matches: &[Match], regions: &[Region]) -> bool {
    matches.iter().enumerate().any(|(n, inner)| {
        let others = || matches.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, outer)| outer);
        inner
            .candidates
            .iter()
            .any(|(region, _, _)| others().any(|outer| contains(outer, *region, regions)))
    })
}

/// The region that fits the names best; a reason if none fits well enough; none if there are no
/// names.
fn judge(matches: &[Match], regions: &[Region]) -> Option<Result<Verdict, Reason>> {
    let mut scores: BTreeMap<u16, (f64, usize, usize)> = BTreeMap::new();
    for (region, _, _) in matches.iter().flat_map(|found| &found.candidates) {
        if scores.contains_key(region) {
            continue;
        }
        let is_country = regions[usize::from(*region)].is_country();
        let mut score = 1.0;
        let (mut agreeing, mut misfits) = (0, 0);
        for (n, found) in matches.iter().enumerate() {
            let fits = if is_country {
                found
                    .candidates
                    .iter()
                    .filter(|candidate| candidate.0 == *region)
                    .map(|candidate| candidate.2)
                    .sum()
            } else {
                share(found, *region, regions)
            };
            let supported = || {
                matches
                    .iter()
                    .enumerate()
                    .any(|(m, other)| m != n && contains(other, *region, regions))
            };
            if fits > 0.0 && (matches.len() == 1 || fits >= SHARE_MIN || supported()) {
                score *= fits;
                agreeing += 1;
            } else if !found.weak {
                score *= MISFIT;
                misfits += 1;
            }
        }
        scores.insert(*region, (score, agreeing, misfits));
    }
    let all = |(_, (score, agreeing, misfits)): &(&u16, &(f64, usize, usize))| {
        (*misfits == 0, *score * 10_f64.powi(*agreeing as i32))
    };
    let (&region, &(score, agreeing, misfits)) = scores
        .iter()
        .filter(|(_, (_, agreeing, _))| *agreeing > 0)
        .max_by(|a, b| all(a).0.cmp(&all(b).0).then(all(a).1.total_cmp(&all(b).1)))?;
    if misfits > 0 {
        // No part fits all names: perhaps one country does.
        let strong: Vec<&Match> = matches.iter().filter(|found| !found.weak).collect();
        let countries: std::collections::BTreeSet<u16> =
            scores.keys().map(|region| regions[usize::from(*region)].country).collect();
        let fits = |country: u16| -> f64 {
            strong
                .iter()
                .map(|found| share(found, country, regions))
                .map(|fits| {
                    if fits >= SHARE_MIN
                        || strong
                            .iter()
                            .any(|other| fits > 0.0 && contains(other, country, regions))
                    {
                        fits
                    } else {
                        0.0
                    }
                })
                .product()
        };
        let best = countries
            .into_iter()
            .map(|country| (country, fits(country)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        return Some(match best {
            Some((country, fits)) if fits > 0.0 => Ok(Verdict {
                region: country,
                country_share: 1.0,
                first_share: 1.0,
                agreeing: strong.len(),
                conflict: true,
            }),
            _ => Err(Reason::Multi),
        });
    }
    let country = regions[usize::from(region)].country;
    let (mut within, mut total) = (0.0, 0.0);
    for (other, (score, also_agreeing, misfits)) in &scores {
        if *misfits == 0 && *also_agreeing >= agreeing {
            total += score;
            if regions[usize::from(*other)].country == country {
                within += score;
            }
        }
    }
    Some(Ok(Verdict {
        region,
        country_share: within / total,
        first_share: score / within,
        agreeing,
        conflict: false,
    }))
}

fn find(regions: &[Region], code: &str) -> Option<u16> {
    regions.binary_search_by(|region| region.code.as_str().cmp(code)).ok().map(|n| n as u16)
}

fn sign_match(region: u16, several: bool, regions: &[Region]) -> Match {
    let kind = if regions[usize::from(region)].is_country() { Kind::Country } else { Kind::First };
    Match {
        candidates: vec![(region, kind, 1.0)],
        population: 1e9,
        weak: several,
        stop: false,
        placed: false,
    }
}

/// Words, by segment ends. Dots inside abbreviations ("D.C.") are dropped.
fn words_of(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut current = String::new();
    let mut after_comma = false;
    let mut begins = true;
    let mut first_of_segment = true;
    let mut characters = text.chars().peekable();
    let close =
        |current: &mut String, after_comma: bool, first: &mut bool, words: &mut Vec<Word>| {
            let written = std::mem::take(current);
            let key = names::key(&written);
            if key.is_empty() {
                return;
            }
            let mut letters = written.chars().filter(|c| c.is_alphabetic());
            let capital = letters.next().is_some_and(char::is_uppercase);
            let upper = capital && written.chars().all(|c| !c.is_lowercase());
            let cased = written.chars().any(|c| c.is_uppercase() || c.is_lowercase());
            words.push(Word {
                key,
                upper,
                capital,
                alone_after_comma: *first && after_comma,
                ends_segment: false,
                cased,
            });
            *first = false;
        };
    while let Some(c) = characters.next() {
        if names::is_word(c) || names::is_silent(c) || c == '’' {
            current.push(c);
            begins = false;
            continue;
        }
        let single = c == '.'
            && !current.is_empty()
            && current.chars().count() - current.chars().filter(|c| *c == '.').count() <= 3
            && characters.peek().is_some_and(|next| next.is_alphabetic())
            && current.chars().all(char::is_uppercase);
        if single {
            continue;
        }
        close(&mut current, after_comma, &mut first_of_segment, &mut words);
        let spaced_dash = matches!(c, '-' | '–' | '—') && text_is_spaced(&mut characters);
        let joins = c.is_whitespace() && c != '\n'
            || matches!(c, '.' | '#' | '@' | '_' | '"' | '“' | '”')
            || (c == '-' && !spaced_dash);
        if !joins && !begins {
            if let Some(last) = words.last_mut() {
                last.ends_segment = true;
            }
            after_comma = matches!(c, ',' | '(' | '[' | '，' | '、' | '،');
            first_of_segment = true;
        }
    }
    close(&mut current, after_comma, &mut first_of_segment, &mut words);
    if let Some(last) = words.last_mut() {
        last.ends_segment = true;
    }
    words
}

fn text_is_spaced(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    characters.peek().is_none_or(|next| next.is_whitespace())
}

/// The names in the words, how many words are part of none, and how many are.
fn matches_of(
    words: &[Word],
    mention: bool,
    names: &Names,
    regions: &[Region],
) -> (Vec<Match>, usize, usize) {
    let mut matches: Vec<Match> = Vec::new();
    let (mut unmatched, mut matched) = (0, 0);
    let mut placed = false;
    let mut n = 0;
    let mut joined = String::new();
    while n < words.len() && matches.len() < MATCHES_MAX {
        let word = &words[n];
        // Abbreviations first: "CA" after a comma is no town.
        let follows = n > 0 && !matches.is_empty();
        // "TX, USA": ambiguous alone, unambiguous with its neighbour.
        if n == 0 && word.upper && word.ends_segment && words.len() > 1 && word.key.len() == 2 {
            let candidates = abbreviation(&word.key, regions);
            if !candidates.is_empty()
                && names.get(&word.key).iter().all(|meaning| meaning.kind > Kind::First)
            {
                matches.push(Match {
                    candidates,
                    population: 0.0,
                    weak: true,
                    stop: true,
                    placed: false,
                });
                n += 1;
                continue;
            }
        }
        if follows
            && word.ends_segment
            && (word.upper || word.alone_after_comma || written::is_plain_abbreviation(&word.key))
        {
            let candidates = abbreviation(&word.key, regions);
            if !candidates.is_empty() {
                let found =
                    Match { candidates, population: 0.0, weak: true, stop: true, placed: false };
                let agrees = matches.iter().any(|other| {
                    found
                        .candidates
                        .iter()
                        .any(|(region, _, _)| share(other, *region, regions) > 0.0)
                });
                if agrees {
                    matched += 1;
                    matches.push(Match { weak: false, ..found });
                    n += 1;
                    continue;
                }
                if !names.get(&word.key).iter().any(|meaning| meaning.kind <= Kind::First) {
                    n += 1;
                    continue;
                }
            }
        }
        let (length, meanings) = longest(words, n, names, &mut joined);
        if length == 0 {
            if !mention || !word.cased {
                let found = inside(&word.key, names, &mut matches);
                if found {
                    matched += 1;
                    n += 1;
                    continue;
                }
            }
            if written::is_locative(&word.key) {
                placed = true;
            } else if !written::is_neutral(&word.key) {
                placed = false;
                unmatched += 1;
            }
            n += 1;
            continue;
        }
        let first = &words[n];
        let lower = first.cased && !words[n..n + length].iter().any(|word| word.capital);
        let stop =
            length == 1 && written::is_stop(&first.key) && !(first.key == "us" && first.upper);
        let found = matched_name(meanings);
        let best = found.candidates.first().map_or(Kind::Other, |candidate| candidate.1);
        let short =
            first.key.chars().count() <= 3 && first.cased && length == 1 && best > Kind::First;
        let small = length == 1
            && best > Kind::First
            && found.population
                < if best == Kind::Other { 10.0 * POPULATION_STRONG } else { POPULATION_STRONG };
        let phrase = length > 1
            && found.population < 200_000.0
            && words[n..n + length].iter().all(|word| {
                written::is_stop(&word.key)
                    || written::is_neutral(&word.key)
                    || written::is_locative(&word.key)
            });
        let stop = stop || phrase;
        let tiny = length > 1 && best > Kind::First && found.population < 3_000.0;
        let weak = stop
            || short
            || small
            || tiny
            || (mention && lower)
            || (length == 1 && written::is_neutral(&first.key));
        if stop
            && length == 1
            && (written::is_locative(&first.key) || written::is_neutral(&first.key))
        {
            placed = placed || written::is_locative(&first.key);
            n += length;
            continue;
        }
        if stop {
            unmatched += 1;
        } else {
            matched += length;
        }
        matches.push(Match { weak, stop, placed, ..found });
        placed = false;
        n += length;
    }
    (matches, unmatched, matched)
}

/// What an abbreviation can represent, all alike.
fn abbreviation(key: &str, regions: &[Region]) -> Vec<(u16, Kind, f64)> {
    let codes = written::abbreviated(key, |code| find(regions, code));
    let share = 1.0 / codes.len() as f64;
    let kind = |region: u16| {
        if regions[usize::from(region)].is_country() { Kind::Country } else { Kind::First }
    };
    codes.into_iter().map(|region| (region, kind(region), share)).collect()
}

fn matched_name(meanings: &[NameMeaning]) -> Match {
    let weight = |meaning: &NameMeaning| {
        let factor = match meaning.kind {
            Kind::Country => 3.0,
            Kind::First => 1.5,
            Kind::Town => 1.0,
            Kind::Other => 0.2,
        };
        factor * libm::pow(meaning.population(), PRIOR)
    };
    let total: f64 = meanings.iter().map(weight).sum();
    let mut candidates: Vec<_> = meanings
        .iter()
        .map(|meaning| (meaning.region, meaning.kind, weight(meaning) / total))
        .collect();
    candidates.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let population = meanings.iter().map(|meaning| meaning.population()).fold(0.0, f64::max);
    Match { candidates, population, weak: false, stop: false, placed: false }
}

/// The most words from `start` that are a name, within a segment.
fn longest<'n>(
    words: &[Word],
    start: usize,
    names: &'n Names,
    joined: &mut String,
) -> (usize, &'n [NameMeaning]) {
    joined.clear();
    let mut ends = [0; NAME_WORDS_MAX];
    let mut count = 0;
    for word in words[start..].iter().take(NAME_WORDS_MAX) {
        if count > 0 {
            joined.push(' ');
        }
        joined.push_str(&word.key);
        ends[count] = joined.len();
        count += 1;
        if word.ends_segment {
            break;
        }
    }
    for length in (1..=count).rev() {
        let meanings = names.get(&joined[..ends[length - 1]]);
        if !meanings.is_empty() {
            return (length, meanings);
        }
    }
    (0, &[])
}

/// Names inside a word of a script that doesn't part words.
fn inside(word: &str, names: &Names, matches: &mut Vec<Match>) -> bool {
    let is_joined = |c: char| matches!(c as u32, 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7af);
    if !word.chars().any(is_joined) {
        return false;
    }
    let starts: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
    let mut n = 0;
    let mut any = false;
    while n + 2 < starts.len() && matches.len() < MATCHES_MAX {
        let longest =
            (n + 2..starts.len().min(n + NAME_CHARACTERS_MAX + 1)).rev().find_map(|end| {
                let meanings = names.get(&word[starts[n]..starts[end]]);
                (!meanings.is_empty()).then_some((end, meanings))
            });
        match longest {
            Some((end, meanings)) => {
                let found = matched_name(meanings);
                let weak = found.population < 200_000.0;
                matches.push(Match { weak, ..found });
                any = true;
                n = end;
            }
            None => n += 1,
        }
    }
    any
}
