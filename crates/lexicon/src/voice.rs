//! Whose voice a post is: somebody's own report, news, or neither.
//!
//! A list of phrases for each language, from the topic files. Asked only for posts that a topic counts. Knows nothing of
//! links, accounts or topics, so it can't tell a joke from a report; what that costs is measured, not guessed.

use std::collections::BTreeMap;

use record::Voice;

use crate::phrases::{Phrases, SpokenIn, pattern};
use crate::topics::{Problem, VoiceRules};

/// The rules of all languages, ready to be asked.
pub(crate) struct Voices {
    phrases: Phrases,
    /// What each pattern says, and in which language.
    says: Vec<Vec<(Says, SpokenIn)>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    Own,
    Not,
    News,
}

impl Voices {
    pub(crate) fn new(rules: &[VoiceRules]) -> Result<Option<Voices>, Vec<Problem>> {
        let mut patterns: BTreeMap<String, Vec<(Says, SpokenIn)>> = BTreeMap::new();
        let mut problems = Vec::new();
        for rules in rules {
            for (entries, says) in [(&rules.own, Says::Own), (&rules.not, Says::Not), (&rules.news, Says::News)] {
                for entry in entries {
                    let pattern = pattern(&entry.text);
                    if pattern.is_empty() {
                        let message = format!("nothing is left of phrase {:?} when it is folded", entry.text);
                        problems.push(Problem { file: rules.file.clone(), line: entry.line, message, hint: None });
                    }
                    patterns.entry(pattern).or_default().push((says, SpokenIn::of(&rules.lang)));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let (patterns, says): (Vec<String>, Vec<Vec<(Says, SpokenIn)>>) = patterns.into_iter().unzip();
        if patterns.is_empty() {
            return Ok(None);
        }
        let phrases = Phrases::new(&patterns).map_err(|error| {
            let message = format!("the phrases of voices are too many to be searched for: {error}");
            let file = rules.first().map(|rules| rules.file.clone()).unwrap_or_default();
            vec![Problem { file, line: 1, message, hint: None }]
        })?;
        Ok(Some(Voices { phrases, says }))
    }

    /// News outweighs a report, and what takes a report back outweighs it too.
    pub(crate) fn of(&self, text: &str, langs: &[&str]) -> Voice {
        let spoken = |lang: &SpokenIn| lang.one_of(langs);
        let wanted = |pattern: usize| self.says[pattern].iter().any(|(_, lang)| spoken(lang));
        let found = self.phrases.find(text, wanted);
        let says = |what: Says| {
            let mut said = found.iter().flat_map(|found| &self.says[found.pattern]);
            said.any(|(says, lang)| *says == what && spoken(lang))
        };
        if says(Says::News) {
            Voice::News
        } else if says(Says::Own) && !says(Says::Not) {
            Voice::Own
        } else {
            Voice::Other
        }
    }
}
