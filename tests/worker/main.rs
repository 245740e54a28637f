//! The worker against servers of other people: what it says it did is compared with what they have booked.

mod asking;
mod doubts;
mod frameworks;
mod histories;
mod lights;
mod mail;
mod rebuild;
mod retry;
mod runner;
mod scene;
mod schedule;
mod settled;
mod stopped;
mod systems;
mod time;
mod webhooks;
mod xledger;
