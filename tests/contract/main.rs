//! The description of the API, against the running server and the tools that other people use on it.

#![cfg(test)]

mod client;
mod document;
mod generated;
mod ledger;
mod lint;
mod scene;
mod tool;
