//! The whole-stack harness: worlds, a store that dies on command, a bench that
//! drives everything by a manual clock, the oracle of the torture matrix, the
//! real binary as a process, and chaos: that process, killed again and again.

pub mod bench;
pub mod chaos;
pub mod crash;
pub mod oracle;
pub mod served;
pub mod world;
