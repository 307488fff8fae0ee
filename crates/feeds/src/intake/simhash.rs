//! A print of a text in which near-copies differ in few bits (Charikar 2002, "Similarity estimation
//! techniques from rounding algorithms"), over keyed hashes of its folded words and of pairs of
//! neighbours:
//! near-copies match within one installation, and without its key no known text can be tried. The
//! same on every platform and in every version: it is stored in the log.

use record::pseudonym::Key;
use record::text::fold;

/// Further words don't count.
const WORDS_MAX: usize = 512;

/// 0 is reserved for texts without words.
pub(super) fn of(text: &str, key: &Key) -> u64 {
    let folded = fold(text);
    let mut weights = [0_i32; 64];
    let mut before = "";
    let mut words = 0;
    for word in
        folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(WORDS_MAX)
    {
        add(&mut weights, key.shingle(word.as_bytes()));
        if words > 0 {
            // No word holds a blank.
            add(&mut weights, key.shingle(format!("{before} {word}").as_bytes()));
        }
        before = word;
        words += 1;
    }
    if words == 0 {
        return 0;
    }
    let bits = weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0)
        .fold(0, |bits, (i, _)| bits | 1 << i);
    if bits == 0 { 1 } else { bits }
}

fn add(weights: &mut [i32; 64], hash: u64) {
    for (i, weight) in weights.iter_mut().enumerate() {
        *weight += if hash >> i & 1 == 1 { 1 } else { -1 };
    }
}
