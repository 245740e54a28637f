//! The worker against servers of other people: what it says it did is compared with what they have booked.

mod asking;
mod automatic;
mod databases;
mod doubts;
mod dynamics365;
mod fair;
mod frameworks;
mod histories;
mod lights;
mod mail;
mod pacing;
mod pipeline;
mod posting;
mod rebuild;
mod reseal;
mod retry;
mod runner;
mod scene;
mod schedule;
mod settled;
mod sources;
mod stopped;
mod systems;
mod time;
mod webhooks;
mod xledger;
