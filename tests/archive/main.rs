//! Months that leave the database for the archive, and are read like everything else.

#![cfg(test)]

mod expiry;
mod killed;
mod maintenance;
mod partitions;
mod reading;
mod rows;
mod scene;
mod sealed;
mod unreachable;
