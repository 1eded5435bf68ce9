//! The monitor on a platform that only keeps record.

mod bench;
mod calls;
mod life;
mod pages;
