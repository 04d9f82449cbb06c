//! Identifiers: GUIDs and object names.
//! Seeded things get the same GUID at every start, so that tests may be run twice; what is made later gets a random one.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// The object name that stands for "there was none" and "there is none any more".
pub(crate) const ZERO: &str = "0000000000000000000000000000000000000000";

/// A GUID that is always the same for the same name.
pub(crate) fn guid_for(name: &str) -> Uuid {
    let digest = Sha256::digest(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

/// An object name of 40 hexadecimal digits. It is a cut SHA-256, not Git's SHA-1: nobody recomputes it, it only has to be one per content.
pub(crate) fn object_name(content: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut name = String::with_capacity(40);
    for byte in &Sha256::digest(content)[..20] {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Random characters out of an alphabet of at most 256, from the operating system.
pub(crate) fn random_text(alphabet: &[u8], length: usize) -> String {
    // One character too probable by a fraction does not matter here: the tokens guard nothing.
    let mut bytes = vec![0; length];
    if getrandom::fill(&mut bytes).is_err() {
        bytes = Uuid::new_v4()
            .as_bytes()
            .iter()
            .copied()
            .cycle()
            .take(length)
            .collect();
    }
    bytes
        .iter()
        .map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_names_have_forty_digits() {
        assert_eq!(object_name(b"x").len(), 40);
        assert_ne!(object_name(b"x"), object_name(b"y"));
    }
}
