//! Amounts of bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of bytes. Written to JSON as a plain number of bytes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ByteCount(u64);

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl ByteCount {
    /// This many bytes.
    pub const fn bytes(count: u64) -> Self {
        Self(count)
    }

    /// This many mebibytes (2^20 bytes). Saturates at the largest amount.
    pub const fn mib(count: u64) -> Self {
        Self(count.saturating_mul(MIB))
    }

    /// This many gibibytes (2^30 bytes). Saturates at the largest amount.
    pub const fn gib(count: u64) -> Self {
        Self(count.saturating_mul(GIB))
    }

    /// The amount in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The amount in whole mebibytes, rounded up.
    pub const fn as_mib_ceil(self) -> u64 {
        self.0.div_ceil(MIB)
    }

    /// The amount in whole gibibytes, rounded up.
    pub const fn as_gib_ceil(self) -> u64 {
        self.0.div_ceil(GIB)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= GIB && bytes.is_multiple_of(GIB) => write!(f, "{} GiB", bytes / GIB),
            bytes if bytes >= MIB && bytes.is_multiple_of(MIB) => write!(f, "{} MiB", bytes / MIB),
            bytes => write!(f, "{bytes} B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ByteCount;

    #[test]
    fn sizes_round_up_to_whole_units() {
        assert_eq!(ByteCount::bytes(1).as_mib_ceil(), 1);
        assert_eq!(ByteCount::gib(3).as_gib_ceil(), 3);
        assert_eq!(ByteCount::bytes(3 * (1 << 30) + 1).as_gib_ceil(), 4);
    }

    #[test]
    fn display_uses_the_largest_unit_that_divides() {
        assert_eq!(ByteCount::mib(1536).to_string(), "1536 MiB");
        assert_eq!(ByteCount::gib(2).to_string(), "2 GiB");
        assert_eq!(ByteCount::bytes(100).to_string(), "100 B");
    }
}
