//! Shortening of quotations in messages.

use std::borrow::Cow;

/// Maximum characters of a quotation.
const QUOTED_MAX: usize = 120;

/// Shortens every quotation in backticks in a message.
pub(crate) fn shortened(message: &str) -> Cow<'_, str> {
    shortened_between(message, '`')
}

/// The same of a message that quotes by another mark.
pub(crate) fn shortened_between(message: &str, mark: char) -> Cow<'_, str> {
    if message.chars().count() <= QUOTED_MAX {
        return Cow::Borrowed(message);
    }
    let lines: Vec<String> = message.split('\n').map(|line| shortened_by(line, mark)).collect();
    Cow::Owned(lines.join("\n"))
}

/// A mark without its partner is one of punctuation.
fn shortened_by(line: &str, mark: char) -> String {
    let parts: Vec<&str> = line.split(mark).collect();
    let mut shown = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            shown.push(mark);
        }
        let quoted = index % 2 == 1 && index + 1 < parts.len();
        if quoted && part.chars().count() > QUOTED_MAX {
            shown.extend(part.chars().take(QUOTED_MAX - 1));
            shown.push('…');
        } else {
            shown.push_str(part);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_has_at_most_a_hundred_and_twenty_characters() {
        let long = "ß".repeat(5_000);
        for mark in ['`', '\''] {
            let message = format!(
                "no topic {mark}{long}{mark} in {mark}topics{mark}\nhint: write {mark}{long}{mark} \
                    once"
            );
            let said = shortened_between(&message, mark);
            let quoted = said.split(mark).nth(1).unwrap();
            assert_eq!((quoted.chars().count(), quoted.ends_with('…')), (QUOTED_MAX, true));
            assert!(said.contains(&format!("{mark}topics{mark}\nhint: write ")), "{said}");
            assert!(said.chars().count() < 400, "{said}");
        }
        let whole =
            format!("`{}` isn't there; {}", "x".repeat(QUOTED_MAX), "and so on ".repeat(20));
        assert_eq!(shortened(&whole), whole);
    }
}
