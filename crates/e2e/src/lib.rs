//! The whole-stack harness: worlds, a store that dies on command, a bench that
//! drives everything by a manual clock, and the oracle of the torture matrix.

pub mod bench;
pub mod crash;
pub mod oracle;
pub mod world;
