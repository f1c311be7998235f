//! The composition root: configuration, providers, doors, and the commands of
//! the one binary.

pub mod config;
pub mod data_base;
pub mod demo;
pub mod doctor;
pub mod log_time;
pub mod manual;
pub mod providers;
pub mod reload;
pub mod serve;
pub mod simulate;
pub mod state;
pub mod syslog;
pub mod visa_import;
