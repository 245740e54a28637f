//! No organization sees, changes or learns anything of another: over the API and past it.

#![cfg(test)]

mod database_rules;
mod operations;
mod rows;
mod rules;
mod scene;
mod webhooks;
