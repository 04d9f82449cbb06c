//! The form in which a body is stored: one byte that names the form, then the body in it.
//!
//! Compression is what keeps a delivery at about one write unit (1 KiB): bodies of 4 to 6 KB, most of it the same field
//! names and URLs each time, become a few hundred bytes against a dictionary of such text. A dictionary is never changed,
//! only followed by another form, since what was written with it is read for as long as deliveries are kept.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// As it is.
const PLAIN: u8 = 0;
/// zlib (RFC 1950, with its checksum) against [`DICTIONARY_1`].
const ZLIB_1: u8 = 1;

/// Text that bodies resemble: our own samples, the most usual last, where references to it are shortest.
static DICTIONARY_1: &[u8] = include_bytes!("dictionary-1.txt");

/// Why a stored body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is empty, or its first byte names no form that this version knows.
    #[error("the body is stored in a form that this version does not know")]
    UnknownForm,
    /// It is damaged, or grows beyond what was allowed.
    #[error("the stored body is damaged")]
    Damaged,
}

/// The stored form of a body: whichever is the shortest.
#[must_use]
pub fn encode(body: &[u8]) -> Vec<u8> {
    let mut stored = vec![ZLIB_1];
    if deflate(body, &mut stored).is_none() || stored.len() > body.len() {
        stored.clear();
        stored.push(PLAIN);
        stored.extend_from_slice(body);
    }
    stored
}

/// The body of a stored form, which must not be longer than `most` bytes.
///
/// # Errors
///
/// [`BodyError`] for what [`encode`] did not write.
pub fn decode(stored: &[u8], most: usize) -> Result<Vec<u8>, BodyError> {
    match stored.split_first() {
        Some((&PLAIN, body)) if body.len() <= most => Ok(body.to_vec()),
        Some((&PLAIN, _)) => Err(BodyError::Damaged),
        Some((&ZLIB_1, compressed)) => inflate(compressed, most).ok_or(BodyError::Damaged),
        _ => Err(BodyError::UnknownForm),
    }
}

fn deflate(body: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut zlib = Compress::new(Compression::new(6), true);
    zlib.set_dictionary(DICTIONARY_1).ok()?;
    out.reserve(body.len() / 2 + 256);
    loop {
        let read = usize::try_from(zlib.total_in()).ok()?;
        match zlib
            .compress_vec(&body[read..], out, FlushCompress::Finish)
            .ok()?
        {
            Status::StreamEnd => return Some(()),
            Status::Ok | Status::BufError => out.reserve(out.capacity().max(256)),
        }
    }
}

fn inflate(compressed: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut zlib = Decompress::new(true);
    let mut body = Vec::with_capacity((compressed.len() * 4).clamp(1_024, most.max(1_024)));
    loop {
        let read = usize::try_from(zlib.total_in()).ok()?;
        let written = body.len();
        match zlib.decompress_vec(&compressed[read..], &mut body, FlushDecompress::Finish) {
            Ok(Status::StreamEnd) => return (body.len() <= most).then_some(body),
            Ok(Status::Ok | Status::BufError) => {
                let stuck = body.len() == written && body.capacity() > body.len();
                if stuck || body.len() > most {
                    return None;
                }
                body.reserve(body.capacity().max(1_024));
            }
            Err(error) => {
                error.needs_dictionary()?;
                zlib.set_dictionary(DICTIONARY_1).ok()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 2 * 1_024 * 1_024;

    #[test]
    fn a_usual_body_shrinks_to_a_fraction() {
        let body = br#"{"subscriptionId":"3b6e6c4e-58ae-4a85-b1a1-2c5d1f0f2a11","notificationId":7,"eventType":"git.push","resource":{"refUpdates":[{"name":"refs/heads/main"}]},"resourceVersion":"1.0"}"#;
        let stored = encode(body);
        assert!(
            stored.len() < body.len() / 2,
            "{} of {}",
            stored.len(),
            body.len()
        );
        assert_eq!(decode(&stored, MOST).unwrap(), body);
    }

    #[test]
    fn what_was_written_with_a_dictionary_is_read_for_ever() {
        use sha2::{Digest, Sha256};
        let digest = crate::keys::hex(&Sha256::digest(DICTIONARY_1));
        assert_eq!(
            digest, "1344cbfdd24f5b09ddba05fce865d09c406ff07d4119bb97df76a971a7c273b8",
            "a dictionary is never changed: add another and a byte for it"
        );
    }

    #[test]
    fn p16_unknown_forms_damage_and_growth_are_errors() {
        assert_eq!(decode(&[], MOST), Err(BodyError::UnknownForm));
        assert_eq!(decode(&[9, 1, 2], MOST), Err(BodyError::UnknownForm));
        let mut stored = encode(&b"abc ".repeat(5_000));
        assert_eq!(decode(&stored, 19_999), Err(BodyError::Damaged));
        let middle = stored.len() / 2;
        stored[middle] ^= 0x55;
        assert_eq!(decode(&stored, MOST), Err(BodyError::Damaged));
        stored.truncate(middle);
        assert_eq!(decode(&stored, MOST), Err(BodyError::Damaged));
    }

    proptest! {
        #[test]
        fn every_body_comes_back_byte_for_byte(body in proptest::collection::vec(any::<u8>(), 0..5_000)) {
            prop_assert_eq!(decode(&encode(&body), MOST).unwrap(), body);
        }

        #[test]
        fn no_stored_bytes_make_the_reader_panic(stored in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = decode(&stored, 10_000);
        }
    }
}
