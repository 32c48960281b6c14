//! Writes a `LevelDB` of a few entries that were not compacted yet: all of them stand in its log.

/// Bytes of a block of a log.
const BLOCK: usize = 32 << 10;
/// Bytes before each record: checksum, length, kind.
const HEAD: usize = 7;

/// CRC-32C (Castagnoli), masked as `LevelDB` keeps it.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// A log of one record, cut into blocks.
fn log(record: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut pieces = record.chunks(BLOCK - HEAD).peekable();
    let mut is_first = true;
    while let Some(piece) = pieces.next() {
        let kind = match (is_first, pieces.peek().is_none()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        is_first = false;
        let content = [&[kind], piece].concat();
        out.extend_from_slice(&checksum(&content).to_le_bytes());
        out.extend_from_slice(&u16::try_from(piece.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&content);
    }
    out
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.extend_from_slice(bytes);
}

/// The files of a database: name, and bytes.
pub(crate) fn database(entries: &[(Vec<u8>, Vec<u8>)]) -> [(&'static str, Vec<u8>); 5] {
    // a batch: its first number, how many, then each
    let mut batch = 1u64.to_le_bytes().to_vec();
    batch.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(0).to_le_bytes());
    for (key, value) in entries {
        batch.push(1);
        text(key, &mut batch);
        text(value, &mut batch);
    }
    // comparator, number of the log, of the log before, the next number, the last sequence
    let mut edit = vec![1];
    text(b"leveldb.BytewiseComparator", &mut edit);
    edit.extend_from_slice(&[2, 3, 9, 0, 3, 4, 4, 0]);
    [
        ("000003.log", log(&batch)),
        ("MANIFEST-000001", log(&edit)),
        ("CURRENT", b"MANIFEST-000001\n".to_vec()),
        ("LOCK", Vec::new()),
        ("LOG", Vec::new()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_the_published_example() {
        // CRC-32C of "123456789" is 0xe3069283; LevelDB masks it
        assert_eq!(
            checksum(b"123456789"),
            0xe306_9283u32.rotate_right(15).wrapping_add(0xa282_ead8)
        );
    }

    #[test]
    fn long_records_are_cut_at_blocks() {
        let log = log(&vec![7; 2 * BLOCK]);
        assert_eq!(log.len(), 2 * BLOCK + 3 * HEAD);
        assert_eq!((log[6], log[BLOCK + 6], log[2 * BLOCK + 6]), (2, 3, 4));
    }
}
