//! Flavours' ids as VISA knows them.
//!
//! A flavour that was taken over keeps the id that VISA's own tables refer to.
//! Such an id is a short text; it is written into a UUID of version 8 (RFC 9562,
//! section 5.8: the meaning of all bits but version and variant is ours), so
//! that no table is needed to find the way back.

use model::FlavourId;

/// The longest text that fits.
pub const MOST: usize = 14;

/// Where the text's bytes stand: around those that hold version and variant.
const PLACES: [usize; MOST] = [0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14, 15];

/// The id of the flavour that VISA calls so: a UUID as it is; any other text of
/// 1 to 14 printable ASCII characters. `None` for what can be no flavour's.
pub fn from_text(text: &str) -> Option<FlavourId> {
    if let Ok(id) = text.parse() {
        return Some(id);
    }
    if !(1..=MOST).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut bytes = [0u8; 16];
    for (place, byte) in PLACES.into_iter().zip(text.bytes()) {
        bytes[place] = byte;
    }
    (bytes[6], bytes[8]) = (0x80, 0x80);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("{a}-{b}-{c}-{d}-{e}").parse().ok()
}

/// What VISA calls the flavour.
pub fn to_text(id: FlavourId) -> String {
    let (whole, bytes) = (id.to_string(), id.as_uuid().into_bytes());
    if (bytes[6], bytes[8]) != (0x80, 0x80) {
        return whole;
    }
    let text: Vec<u8> =
        PLACES.into_iter().map(|place| bytes[place]).take_while(|byte| *byte != 0).collect();
    match String::from_utf8(text) {
        Ok(text) if from_text(&text) == Some(id) => text,
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_id_that_was_taken_over_reads_as_it_was() {
        for text in ["1", "42", "m1.xlarge", "12345678901234"] {
            let id = from_text(text).unwrap();
            assert_eq!(to_text(id), text);
        }
        assert_ne!(from_text("1"), from_text("11"));
        for text in ["", "a b", "ä", "123456789012345"] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn any_other_id_reads_as_a_uuid() {
        for text in ["0198f0c0-1111-7abc-8000-000000000001", "00000000-0000-8000-8000-000000000001"]
        {
            let id = from_text(text).unwrap();
            assert_eq!(to_text(id), text);
        }
    }
}
