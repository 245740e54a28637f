//! The worker against servers of other people: what it says it did is compared with what they have booked.

mod frameworks;
mod lights;
mod mail;
mod retry;
mod scene;
mod settled;
mod systems;
mod time;
