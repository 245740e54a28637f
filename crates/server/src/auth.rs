//! Who calls, and what they may do.

pub mod api_key;
pub mod context;
pub mod keys;
pub mod password;
pub mod session;
pub mod token;

pub use context::{Access, OrgContext, Principal, Role, Scope};
pub use token::TokenService;
