//! A print of a text in which near-copies differ in few bits (Charikar 2002, "Similarity estimation techniques from
//! rounding algorithms"), over its folded words and pairs of neighbours. The same on every platform and in every version:
//! it is kept in the log.

use record::text::fold;

/// Further words don't count.
const WORDS_MAX: usize = 512;

/// 0 is kept for texts without words.
pub(super) fn of(text: &str) -> u64 {
    let folded = fold(text);
    let mut weights = [0_i32; 64];
    let mut before = 0_u64;
    let mut words = 0;
    for word in folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(WORDS_MAX) {
        let hash = hash_word(word);
        add(&mut weights, hash);
        if words > 0 {
            add(&mut weights, mix(before.rotate_left(21) ^ hash));
        }
        before = hash;
        words += 1;
    }
    if words == 0 {
        return 0;
    }
    let bits = weights.iter().enumerate().filter(|(_, weight)| **weight > 0).fold(0, |bits, (i, _)| bits | 1 << i);
    if bits == 0 { 1 } else { bits }
}

fn add(weights: &mut [i32; 64], hash: u64) {
    for (i, weight) in weights.iter_mut().enumerate() {
        *weight += if hash >> i & 1 == 1 { 1 } else { -1 };
    }
}

/// FNV-1a, then mixed: alone its high bits say little of short words.
fn hash_word(word: &str) -> u64 {
    mix(word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finaliser of SplitMix64.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}
