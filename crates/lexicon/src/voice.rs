//! Voice of a post: first-person report, news or other; of a claim question, assertion or rebuttal.
//!
//! A list of phrases for each language, from the topic files. Applied only to posts that a topic
//! counts. Knows nothing of links, accounts or topics, so it can't tell a joke from a report; what
//! that costs is measured, not guessed.

use std::collections::BTreeMap;
use std::ops::Range;

use memchr::{memchr, memchr3};
use record::Voice;
use record::diagnostic::Diagnostic;

use crate::phrases::{Phrases, SpokenIn, pattern};
use crate::topics::VoiceRules;

/// The compiled rules of all languages.
pub(crate) struct Voices {
    phrases: Phrases,
    /// What each pattern says, and in which language.
    says: Vec<Vec<(Says, SpokenIn)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Own,
    Not,
    News,
    Asks,
    Counters,
}

/// What the rules make of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RulesFound {
    pub(crate) voice: Voice,
    /// The same of a narrative.
    pub(crate) stance: Voice,
}

/// A phrase of a rule in a text, by its place in the searched form.
pub(crate) struct RuleFound<'voices> {
    pub(crate) says: Says,
    pub(crate) lang: &'voices str,
    pub(crate) place: Range<usize>,
}

impl Voices {
    pub(crate) fn new(rules: &[VoiceRules]) -> Result<Option<Voices>, Vec<Diagnostic>> {
        let mut patterns: BTreeMap<String, Vec<(Says, SpokenIn)>> = BTreeMap::new();
        let mut problems = Vec::new();
        for rules in rules {
            let lists = [
                (&rules.own, Says::Own),
                (&rules.not, Says::Not),
                (&rules.news, Says::News),
                (&rules.asks, Says::Asks),
                (&rules.counters, Says::Counters),
            ];
            for (entries, says) in lists {
                for entry in entries {
                    let pattern = pattern(&entry.text);
                    if pattern.is_empty() {
                        let message =
                            format!("nothing is left of phrase {:?} when it is folded", entry.text);
                        problems.push(Diagnostic::at(&rules.file, entry.line, message));
                    }
                    patterns.entry(pattern).or_default().push((says, SpokenIn::of(&rules.lang)));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let (patterns, says): (Vec<String>, Vec<Vec<(Says, SpokenIn)>>) =
            patterns.into_iter().unzip();
        if patterns.is_empty() {
            return Ok(None);
        }
        let phrases = Phrases::new(&patterns).map_err(|error| {
            let message = format!("the phrases of voices are too many to be searched for: {error}");
            let file = rules.first().map_or("", |rules| &rules.file);
            vec![Diagnostic::at(file, 1, message)]
        })?;
        Ok(Some(Voices { phrases, says }))
    }

    /// News outweighs a report, and what takes a report back outweighs it too. Of a claim, anyone
    /// who contradicts it counters it even by a question; anyone who asks doesn't assert.
    pub(crate) fn hear(&self, text: &str, langs: &[&str]) -> RulesFound {
        let found = self.found(text, langs);
        let says = |what: Says| found.iter().any(|rule| rule.says == what);
        let voice = if says(Says::News) {
            Voice::News
        } else if says(Says::Own) && !says(Says::Not) {
            Voice::Own
        } else {
            Voice::Other
        };
        let stance = if says(Says::Counters) {
            Voice::Counters
        } else if says(Says::Asks) || has_question_mark(text) {
            Voice::Asks
        } else {
            Voice::Asserts
        };
        RulesFound { voice, stance }
    }

    /// The phrases of rules that are in the text, in its order.
    pub(crate) fn found(&self, text: &str, langs: &[&str]) -> Vec<RuleFound<'_>> {
        let wanted = |pattern: usize| self.says[pattern].iter().any(|(_, lang)| lang.one_of(langs));
        let mut rules = Vec::new();
        for found in self.phrases.find(text, wanted) {
            for (says, lang) in
                self.says[found.pattern].iter().filter(|(_, lang)| lang.one_of(langs))
            {
                rules.push(RuleFound {
                    says: *says,
                    lang: lang.name(),
                    place: found.start..found.end,
                });
            }
        }
        rules
    }
}

/// At the end of a sentence, not inside a link.
pub(crate) fn has_question_mark(text: &str) -> bool {
    // Most texts have none of the bytes that a question mark of any script begins with.
    let bytes = text.as_bytes();
    if memchr3(b'?', 0xc2, 0xd8, bytes).is_none() && memchr(0xef, bytes).is_none() {
        return false;
    }
    let ends = |rest: &str| {
        rest.chars().next().is_none_or(|c| c.is_whitespace() || "\"'”’»)!?？".contains(c))
    };
    text.char_indices().any(|(at, c)| match c {
        '?' => ends(&text[at + 1..]),
        '？' | '؟' | '¿' => true,
        _ => false,
    })
}
