//! Processes that are killed: the program, its database, and what they were in the middle of.

mod installation;
mod killed;
mod mail;
mod report;
mod webhooks;
