//! The dictionary of place names: a folded name to the regions it can mean, each with a population.
//!
//! Knows names and region numbers; what a text means is decided by `text`.

use crate::bundle::{BundleError, Reader, Writer};

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Country = 0,
    First = 1,
    /// A town by its own name.
    Town = 2,
    /// A town by another name or spelling.
    Other = 3,
}

/// One meaning of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meaning {
    pub region: u16,
    pub kind: Kind,
    /// Eighths of the binary logarithm of the population + 1.
    pub weight: u8,
}

impl Meaning {
    pub fn population(self) -> f64 {
        libm::exp2(f64::from(self.weight) / 8.0)
    }
}

pub fn weight_of(population: u64) -> u8 {
    (libm::log2(population as f64 + 1.0) * 8.0).round() as u8
}

/// A name's folded form: words of letters, marks and digits joined by single spaces; apostrophes
/// and joiners inside a word dropped.
pub fn key(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    words(&record::text::fold(text), |word| {
        if !key.is_empty() {
            key.push(' ');
        }
        key.extend(word.chars().filter(|c| !is_silent(*c)));
    });
    key
}

/// The words of a folded text, apostrophes inside them included.
pub fn words<'a>(folded: &'a str, mut visit: impl FnMut(&'a str)) {
    for word in folded.split(|c: char| !is_word(c) && !is_silent(c)) {
        let word = word.trim_matches(is_silent);
        if !word.is_empty() {
            visit(word);
        }
    }
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric()
        || (!c.is_ascii()
            && unicode_normalization::char::is_combining_mark(c)
            && !('\u{fe00}'..='\u{fe0f}').contains(&c))
}

pub fn is_silent(c: char) -> bool {
    matches!(c, '\'' | '`' | '´' | 'ʻ' | 'ʼ' | 'ʹ' | '\u{200c}' | '\u{200d}')
}

/// The dictionary, by hash.
#[derive(Debug)]
pub struct Names {
    text: Vec<u8>,
    /// Where a name's text and meanings begin; one more than there are names.
    starts: Vec<(u32, u32)>,
    meanings: Vec<Meaning>,
    /// Names + 1 by hash, 0 for none.
    slots: Vec<u32>,
}

impl Names {
    pub fn get(&self, key: &str) -> &[Meaning] {
        let mask = self.slots.len() - 1;
        let mut slot = hash(key.as_bytes()) as usize & mask;
        loop {
            let Some(name) = (self.slots[slot] as usize).checked_sub(1) else { return &[] };
            let ((text, meanings), (text_end, meanings_end)) =
                (self.starts[name], self.starts[name + 1]);
            if &self.text[text as usize..text_end as usize] == key.as_bytes() {
                return &self.meanings[meanings as usize..meanings_end as usize];
            }
            slot = (slot + 1) & mask;
        }
    }

    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
            + self.starts.len() * 8
            + self.meanings.len() * size_of::<Meaning>()
            + self.slots.len() * 4
    }

    /// Reads what `write` wrote.
    pub fn read(bytes: &[u8]) -> Result<Names, BundleError> {
        let mut reader = Reader::new(bytes);
        let count = reader.number()? as usize;
        let meanings_count = reader.number()? as usize;
        let shared = reader.bytes(count)?;
        let lengths = reader.bytes(count)?;
        let counts = reader.bytes(count)?;
        let suffixes = reader.bytes_with_length()?;
        let low = reader.bytes(meanings_count)?;
        let high = reader.bytes(meanings_count)?;
        let kinds = reader.bytes(meanings_count)?;
        let weights = reader.bytes(meanings_count)?;

        let text_bytes: usize = shared.iter().chain(lengths).map(|n| usize::from(*n)).sum();
        let mut text: Vec<u8> = Vec::with_capacity(text_bytes);
        let mut starts = Vec::with_capacity(count + 1);
        let mut slots = vec![0_u32; (count * 2).next_power_of_two().max(2)];
        let mask = slots.len() - 1;
        let (mut previous, mut suffix, mut meaning) = (0_usize, 0_usize, 0_usize);
        for n in 0..count {
            let start = text.len();
            let prefix = usize::from(shared[n]);
            let added = suffixes
                .get(suffix..suffix + usize::from(lengths[n]))
                .ok_or(BundleError::Damaged("names"))?;
            if previous + prefix > start {
                return Err(BundleError::Damaged("names"));
            }
            text.extend_from_within(previous..previous + prefix);
            text.extend_from_slice(added);
            starts.push((start as u32, meaning as u32));
            let mut slot = hash(&text[start..]) as usize & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = n as u32 + 1;
            suffix += added.len();
            meaning += usize::from(counts[n]);
            previous = start;
        }
        if meaning != meanings_count {
            return Err(BundleError::Damaged("names"));
        }
        starts.push((text.len() as u32, meaning as u32));
        let meanings = (0..meanings_count).map(|n| Meaning {
            region: u16::from_le_bytes([low[n], high[n]]),
            kind: match kinds[n] {
                0 => Kind::Country,
                1 => Kind::First,
                2 => Kind::Town,
                _ => Kind::Other,
            },
            weight: weights[n],
        });
        Ok(Names { meanings: meanings.collect(), text, starts, slots })
    }
}

/// Names with their meanings, sorted by name; a name has no more than 255 bytes and meanings.
pub fn write(names: &std::collections::BTreeMap<String, Vec<Meaning>>) -> Vec<u8> {
    let all: Vec<Meaning> = names.values().flatten().copied().collect();
    let mut writer = Writer::default();
    writer.number(names.len() as u64);
    writer.number(all.len() as u64);
    let (mut shared, mut lengths, mut suffixes) = (Vec::new(), Vec::new(), Vec::new());
    let mut previous: &[u8] = b"";
    for name in names.keys() {
        let prefix = previous.iter().zip(name.as_bytes()).take_while(|(a, b)| a == b).count();
        shared.push(prefix as u8);
        lengths.push((name.len() - prefix) as u8);
        suffixes.extend_from_slice(&name.as_bytes()[prefix..]);
        previous = name.as_bytes();
    }
    writer.bytes.extend(shared);
    writer.bytes.extend(lengths);
    writer.bytes.extend(names.values().map(|meanings| meanings.len() as u8));
    writer.bytes_with_length(&suffixes);
    writer.bytes.extend(all.iter().map(|meaning| meaning.region as u8));
    writer.bytes.extend(all.iter().map(|meaning| (meaning.region >> 8) as u8));
    writer.bytes.extend(all.iter().map(|meaning| meaning.kind as u8));
    writer.bytes.extend(all.iter().map(|meaning| meaning.weight));
    writer.bytes
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0_u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash =
            (hash.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    hash ^ (hash >> 32)
}
