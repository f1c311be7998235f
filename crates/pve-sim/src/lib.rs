//! A Proxmox VE API server for tests, demos and CI: a whole cluster in one
//! process. Guests are records, or QEMU processes on this machine.

pub mod machine;
