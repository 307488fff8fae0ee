//! Hints for files without a readable line: UTF-16, JSON arrays, tables.

/// A hint, from the first bytes of the first line that was refused.
pub fn hint(first: &[u8]) -> Option<&'static str> {
    const UTF_16: &str =
        "it looks like UTF-16: write it as UTF-8, such as by `iconv -f UTF-16 -t UTF-8`";
    let text = first.trim_ascii_start();
    match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] | [b'{' | b'[', 0, ..] => {
            Some(UTF_16)
        }
        [b'[', ..] => {
            Some("it looks like a JSON array: write one object a line, such as by `jq -c '.[]'`")
        }
        [b'P', b'K', 3, 4, ..] => Some("it looks like a zip archive: unpack it first"),
        [b'<', ..] => Some("it looks like XML or HTML: one JSON object a line is read"),
        [b'{'] => Some(
            "it looks like JSON over several lines: write one object a line, such as by `jq -c .`",
        ),
        _ if is_table(text) => Some("it looks like a table: one JSON object a line is read"),
        _ => None,
    }
}

/// A header line of names between commas, semicolons or tabs.
fn is_table(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let separated = [b',', b';', b'\t'].into_iter().any(|separator| line.contains(&separator));
    separated
        && line.iter().all(|byte| byte.is_ascii_alphanumeric() || b",;\t_-. \"\r".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn what_people_bring_instead_is_recognised() {
        let utf_16: Vec<u8> = "{\"id\":\"1\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, word) in [
            (utf_16.as_slice(), "UTF-16"),
            (b"\xff\xfe{\0", "UTF-16"),
            (b"\xfe\xff\0{", "UTF-16"),
            (b"[{\"id\":\"1\"},{\"id\":\"2\"}]", "array"),
            (b"  [", "array"),
            (b"{", "several lines"),
            (b"id,author,created_at", "table"),
            (b"PK\x03\x04rest", "zip"),
            (b"<html>", "HTML"),
        ] {
            assert!(
                hint(bytes).is_some_and(|hint| hint.contains(word)),
                "{bytes:?}: {:?}",
                hint(bytes)
            );
        }
        assert_eq!(hint(b"{\"id\":\"1\"}"), None);
        assert_eq!(hint(b""), None);
    }
}
