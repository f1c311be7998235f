//! The whole-stack harness: worlds, a store that dies on command, a bench that
//! drives everything by a manual clock, the oracle of the torture matrix, and
//! the real binary as a process.

pub mod bench;
pub mod crash;
pub mod oracle;
pub mod served;
pub mod world;
