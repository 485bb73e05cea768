//! The seal of a snapshot's bytes: their number and a checksum, behind them.

/// The bytes with a seal: the number of them, then the checksum of all before it.
pub(super) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend((bytes.len() as u64).to_le_bytes());
    let check = crc(bytes.iter().copied());
    bytes.extend(check.to_le_bytes());
    bytes
}

/// The bytes that were sealed, if they are all there and unaltered.
pub(super) fn open(bytes: &[u8]) -> Option<&[u8]> {
    let (covered, check) = bytes.split_last_chunk()?;
    let (content, number) = covered.split_last_chunk()?;
    let whole = content.len() as u64 == u64::from_le_bytes(*number);
    (whole && crc(covered.iter().copied()) == u64::from_le_bytes(*check)).then_some(content)
}

/// CRC-64/XZ.
pub(super) fn crc(bytes: impl Iterator<Item = u8>) -> u64 {
    !bytes.fold(!0, |crc: u64, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

static TABLE: [u64; 256] = table();

/// What each byte does to a checksum.
const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let (mut crc, mut bit) = (byte as u64, 0);
        while bit < 8 {
            // The polynomial of ECMA-182, reflected; taken if the lowest bit is set.
            crc = (crc >> 1) ^ (0xC96C_5795_D787_0F42 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(all(test, not(ttl_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_it_is_called() {
        assert_eq!(crc(b"123456789".iter().copied()), 0x995D_C9BB_DF19_39FA);
        assert_eq!(crc([].into_iter()), 0);
    }

    #[test]
    fn what_is_sealed_opens_and_nothing_shorter_does() {
        for content in [&b""[..], b"a", &[0; 100]] {
            let bytes = sealed(content.to_vec());
            assert_eq!(open(&bytes), Some(content));
            assert!((0..bytes.len()).all(|end| open(&bytes[..end]).is_none()));
        }
    }
}
