//! Nesting depth of a line, checked before parsing.
//!
//! The parser descends once a level and would exhaust the stack on a line of a million brackets.
//! This pass is on the hot path: nearly every line is let through by counting brackets, wherever
//! they stand.

use memchr::memchr2;

/// Whether objects and arrays nest deeper than `depth_max`; brackets inside strings don't count.
pub(crate) fn nests_deeper(bytes: &[u8], depth_max: usize) -> bool {
    // No line can nest deeper than it has opening brackets: a count without branches settles nearly
    // all.
    opening_brackets(bytes) > depth_max && descend(bytes, depth_max)
}

/// Opening brackets of both kinds, in strings too.
fn opening_brackets(bytes: &[u8]) -> usize {
    // `[` and `{` differ in one bit. Counts of a byte's width let the compiler use whole vectors.
    let count = |chunk: &[u8]| {
        chunk.iter().fold(0_u8, |count, byte| count.wrapping_add(u8::from(byte | 0x20 == b'{')))
    };
    bytes.chunks(255).map(|chunk| usize::from(count(chunk))).sum()
}

/// The exact scan: follows strings and their escapes.
fn descend(bytes: &[u8], depth_max: usize) -> bool {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(bytes, at),
            _ => {}
        }
    }
    false
}

/// The position after the quote that closes a string whose first byte is at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if bytes[at - 1] == b'"' {
            return at;
        }
        // Whatever is escaped, it doesn't close the string.
        at += 1;
    }
    bytes.len()
}

/// Whether there is anything but white space.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}
