//! Line numbers as an editor shows them, for files whose reader skips blank lines and both kinds of
//! line ends.

/// The line of the record that a CSV reader found from a byte on; it may have left the end of the
/// line before, and blank lines, unread.
pub fn line_at(text: &[u8], byte: usize) -> u64 {
    let rest = text.get(byte..).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let before = &text[..(byte + skipped).min(text.len())];
    let ends = before.iter().enumerate().filter(|(at, byte)| match byte {
        b'\n' => true,
        // Of `\r\n` only the second counts.
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    1 + ends.count() as u64
}

#[cfg(test)]
mod tests {
    use super::line_at;

    #[test]
    fn a_line_is_what_an_editor_shows() {
        for (text, wanted) in [
            ("a\nb\nX", 3),
            ("a\r\nb\r\nX", 3),
            ("a\n\n\nX", 4),
            ("a\r\n\r\nX", 3),
            ("a\rb\rX", 3),
            ("X", 1),
            ("\n\nX", 3),
        ] {
            let at = text.find('X').unwrap();
            // From wherever the reader stopped before it.
            let from = text[..at].trim_end_matches(['\r', '\n']).len();
            for byte in from..=at {
                assert_eq!(line_at(text.as_bytes(), byte), wanted, "{text:?} from {byte}");
            }
        }
        assert_eq!(line_at(b"a\n", 99), 2);
        assert_eq!(line_at(b"", 0), 1);
    }
}
