//! The machine's randomness.

use aws_lc_rs::rand::{SecureRandom, SystemRandom as Source};
use model::Random;

/// The machine's cryptographic random numbers.
#[derive(Debug, Default)]
pub struct SystemRandom(Source);

impl SystemRandom {
    /// The machine's source.
    pub fn new() -> Self {
        Self(Source::new())
    }
}

impl Random for SystemRandom {
    #[allow(clippy::expect_used, reason = "a machine without randomness can make no secret")]
    fn fill(&self, buffer: &mut [u8]) {
        self.0
            .fill(buffer)
            .expect("the operating system's random source does not fail once seeded");
    }
}
