//! A tree as a zip archive. Nothing is compressed, which every reader reads.

use crate::state::trees::Tree;

/// 1980-01-01, the first day that the format knows.
const DATE: u16 = (1 << 5) | 1;
/// Since version 2.0 there are folders.
const VERSION: u16 = 20;
const UTF8_NAMES: u16 = 1 << 11;

/// The archive of all files.
pub(crate) fn zip(tree: &Tree) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (path, content) in tree {
        let at = length(archive.len());
        let fields = common(path, content);
        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&fields);
        archive.extend_from_slice(path.as_bytes());
        archive.extend_from_slice(content.as_bytes());

        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&VERSION.to_le_bytes());
        directory.extend_from_slice(&fields);
        // No comment, disk 0, no attributes.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&at.to_le_bytes());
        directory.extend_from_slice(path.as_bytes());
    }
    let files = u16::try_from(tree.len()).unwrap_or(u16::MAX);
    let (at, size) = (length(archive.len()), length(directory.len()));
    archive.append(&mut directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend_from_slice(&files.to_le_bytes());
    archive.extend_from_slice(&files.to_le_bytes());
    archive.extend_from_slice(&size.to_le_bytes());
    archive.extend_from_slice(&at.to_le_bytes());
    // No comment.
    archive.extend_from_slice(&[0; 2]);
    archive
}

/// What a file's own header and the directory say alike.
fn common(path: &str, content: &str) -> Vec<u8> {
    let size = length(content.len()).to_le_bytes();
    let mut fields = Vec::with_capacity(26);
    for short in [VERSION, UTF8_NAMES, 0, 0, DATE] {
        fields.extend_from_slice(&short.to_le_bytes());
    }
    fields.extend_from_slice(&checksum(content.as_bytes()).to_le_bytes());
    fields.extend_from_slice(&size);
    fields.extend_from_slice(&size);
    let name = u16::try_from(path.len()).unwrap_or(u16::MAX);
    fields.extend_from_slice(&name.to_le_bytes());
    fields.extend_from_slice(&[0; 2]);
    fields
}

/// The simulated world has no gigabytes.
fn length(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// CRC-32, as zip has it.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _bit| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_every_zip() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn the_directory_is_where_the_end_says() {
        let tree =
            [("a", "1"), ("b/c", "23")].map(|(path, text)| (path.to_owned(), text.to_owned()));
        let archive = zip(&tree.into());
        let end = archive.len() - 22;
        assert_eq!(&archive[end..end + 4], b"PK\x05\x06");
        assert_eq!(archive[end + 8], 2, "files");
        let at = usize::from(archive[end + 16]);
        assert_eq!(&archive[at..at + 4], b"PK\x01\x02");
        assert!(archive[..at].ends_with(b"b/c23"));
    }
}
