//! The torture matrix: every workflow over every provider, every fault at every
//! step, with the whole world as the oracle.

mod cases;
mod family;
mod matrix;
mod media;
mod mutation;
mod restored;
mod samples;
