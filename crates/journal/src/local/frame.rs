//! The bytes of a row: records one after another, each behind its length, and a checksum over all.
//!
//! Lengths are little-endian groups of seven bits. The checksum is CRC-32 (IEEE 802.3) and covers
//! where the row belongs too, so that a row in a wrong place is as damaged as one with a wrong
//! byte.

/// Appends a record to a row.
pub(super) fn push(row: &mut Vec<u8>, record: &[u8]) {
    let mut length = record.len();
    while length >= 0x80 {
        row.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    row.push(length as u8);
    row.extend_from_slice(record);
}

/// Takes the next record off a row; none where the row ends, or isn't one.
pub(super) fn pop<'a>(row: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (first, rest) = row.split_first()?;
        *row = rest;
        length |= usize::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            let (record, rest) = row.split_at_checked(length)?;
            *row = rest;
            return Some(record);
        }
    }
    None
}

pub(super) fn checksum(key: i64, count: u32, row: &[u8]) -> u32 {
    let mut state = !0;
    state = crc(state, &key.to_le_bytes());
    state = crc(state, &count.to_le_bytes());
    !crc(state, row)
}

fn crc(mut state: u32, bytes: &[u8]) -> u32 {
    // Eight bytes at a time by eight tables ("slicing by 8", Kounavis and Berry 2005).
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let low = state ^ u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        state = TABLES[7][(low & 0xff) as usize]
            ^ TABLES[6][(low >> 8 & 0xff) as usize]
            ^ TABLES[5][(low >> 16 & 0xff) as usize]
            ^ TABLES[4][(low >> 24) as usize]
            ^ TABLES[3][usize::from(chunk[4])]
            ^ TABLES[2][usize::from(chunk[5])]
            ^ TABLES[1][usize::from(chunk[6])]
            ^ TABLES[0][usize::from(chunk[7])];
    }
    for byte in chunks.remainder() {
        state = TABLES[0][((state ^ u32::from(*byte)) & 0xff) as usize] ^ (state >> 8);
    }
    state
}

static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            state = (state >> 1) ^ (0xedb8_8320 * (state & 1));
            bit += 1;
        }
        tables[0][byte] = state;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let state = tables[table - 1][byte];
            tables[table][byte] = (state >> 8) ^ tables[0][(state & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_one_of_zip_and_ethernet() {
        assert_eq!(!crc(!0, b"123456789"), 0xcbf4_3926);
        assert_eq!(!crc(!0, b"The quick brown fox jumps over the lazy dog"), 0x414f_a339);
    }

    #[test]
    fn records_come_back_and_no_bytes_panic() {
        let records = [vec![], vec![1; 127], vec![2; 128], vec![3; 20_000], vec![]];
        let mut row = Vec::new();
        for record in &records {
            push(&mut row, record);
        }
        let mut rest = &row[..];
        for record in &records {
            assert_eq!(pop(&mut rest), Some(&record[..]));
        }
        assert!(rest.is_empty());
        for bytes in [&[][..], &[1], &[0xff; 20], &[0x80; 9], &[5, 1, 2]] {
            assert_eq!(pop(&mut &bytes[..]), None);
        }
    }
}
