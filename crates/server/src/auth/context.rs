//! The caller of a request: organization, principal, role, scopes, all from the token alone.

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use api_types::ErrorCode;
use chrono::{DateTime, Utc};
use domain::sync_log::draft::Reporter;
use domain::violation::UnknownWord;
use uuid::Uuid;

use crate::http::problem::ApiError;
use crate::state::AppState;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A person, by their user id.
    Person(Uuid),
    /// A machine, by its key's id.
    Machine(Uuid),
}

impl Principal {
    /// The id, whichever kind it is.
    pub const fn id(self) -> Uuid {
        match self {
            Self::Person(id) | Self::Machine(id) => id,
        }
    }
}

/// Declares a closed set of words that stand in tokens and tables.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in tokens and tables.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { expected: stringify!($name), found: word.to_owned() }),
                }
            }
        }
    };
}

words! {
    /// What a principal is in its organization.
    Role {
        /// Reads.
        OrgViewer = "org_viewer",
        /// Reads, changes settings, retries, manages people and keys.
        OrgAdmin = "org_admin",
        /// A machine that reports syncs.
        Runner = "runner",
        /// Operates the installation.
        GlobalAdmin = "global_admin",
    }
}

words! {
    /// What a machine's key allows.
    Scope {
        /// Report syncs.
        SyncsWrite = "syncs:write",
        /// Read syncs.
        SyncsRead = "syncs:read",
        /// Stage records.
        RecordsWrite = "records:write",
        /// Poll and claim retries.
        RetriesClaim = "retries:claim",
        /// Read integrations.
        IntegrationsRead = "integrations:read",
        /// See `metadata`.
        Debug = "debug",
    }
}

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Persons of every role; machines that may read anything.
    Read,
    /// Persons of every role; machines with `syncs:read`.
    ReadSyncs,
    /// Persons of every role; machines with `integrations:read`.
    ReadIntegrations,
    /// Administrators; machines with `syncs:write`.
    WriteSyncs,
    /// Administrators; machines with `records:write`.
    StageRecords,
    /// Persons of every role; machines with `syncs:read` or `retries:claim`.
    PollRetries,
    /// Administrators; machines with `retries:claim`.
    ClaimRetries,
    /// Administrators only.
    Administer,
    /// The organization's own administrators only.
    RetryByHand,
    /// Any person, about themselves.
    Own,
}

/// The caller of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgContext {
    /// The organization that the token names.
    pub organization_id: Uuid,
    /// Who calls.
    pub principal: Principal,
    /// What they are.
    pub role: Role,
    /// What a machine's token allows; empty for persons.
    pub scopes: BTreeSet<Scope>,
    /// When the token ends.
    pub expires_at: DateTime<Utc>,
}

impl OrgContext {
    /// Refuses a caller who may not do this.
    pub fn require(&self, access: Access) -> Result<(), ApiError> {
        if self.may(access) {
            Ok(())
        } else {
            Err(ApiError::new(ErrorCode::Forbidden, "the token's role or scopes do not allow this"))
        }
    }

    fn may(&self, access: Access) -> bool {
        let machine = |scope| matches!(self.principal, Principal::Machine(_)) && self.scopes.contains(&scope);
        let person = matches!(self.principal, Principal::Person(_));
        let admin = person && matches!(self.role, Role::OrgAdmin | Role::GlobalAdmin);
        match access {
            Access::Read => person || machine(Scope::SyncsRead) || machine(Scope::IntegrationsRead),
            Access::ReadSyncs => person || machine(Scope::SyncsRead),
            Access::ReadIntegrations => person || machine(Scope::IntegrationsRead),
            Access::WriteSyncs => admin || machine(Scope::SyncsWrite),
            Access::StageRecords => admin || machine(Scope::RecordsWrite),
            Access::PollRetries => person || machine(Scope::SyncsRead) || machine(Scope::RetriesClaim),
            Access::ClaimRetries => admin || machine(Scope::RetriesClaim),
            Access::Administer => admin,
            Access::RetryByHand => person && self.role == Role::OrgAdmin,
            Access::Own => person,
        }
    }

    /// The person, if it is one.
    pub fn user_id(&self) -> Option<Uuid> {
        match self.principal {
            Principal::Person(id) => Some(id),
            Principal::Machine(_) => None,
        }
    }

    /// The person; a machine is refused.
    pub fn require_person(&self) -> Result<Uuid, ApiError> {
        self.require(Access::Own)?;
        self.user_id().ok_or_else(|| ApiError::new(ErrorCode::Forbidden, "only for people"))
    }

    /// Who reports, in the ledger's terms.
    pub fn reporter(&self) -> Reporter {
        match self.principal {
            Principal::Person(id) => Reporter::Person(id),
            Principal::Machine(_) => Reporter::Machine,
        }
    }

    /// Whether a machine's token carries a scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

impl FromRequest for OrgContext {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(of_request(request))
    }
}

/// The caller, checked once per request.
pub fn of_request(request: &HttpRequest) -> Result<OrgContext, ApiError> {
    if let Some(context) = request.extensions().get::<OrgContext>() {
        return Ok(context.clone());
    }
    let unauthenticated = || ApiError::new(ErrorCode::Unauthenticated, "a valid bearer token is needed");
    let token = bearer(request).ok_or_else(unauthenticated)?;
    let state = request
        .app_data::<web::Data<AppState>>()
        .ok_or_else(|| ApiError::internal("the application's state is missing"))?;
    let context = state.tokens.verify(token, state.clock.now()).map_err(|_| unauthenticated())?;
    request.extensions_mut().insert(context.clone());
    Ok(context)
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(role: Role) -> OrgContext {
        OrgContext {
            organization_id: Uuid::nil(),
            principal: Principal::Person(Uuid::nil()),
            role,
            scopes: BTreeSet::new(),
            expires_at: DateTime::UNIX_EPOCH,
        }
    }

    fn machine(scopes: &[Scope]) -> OrgContext {
        OrgContext {
            principal: Principal::Machine(Uuid::nil()),
            scopes: scopes.iter().copied().collect(),
            ..person(Role::Runner)
        }
    }

    fn allowed(context: &OrgContext) -> Vec<Access> {
        let all = [
            Access::Read,
            Access::ReadSyncs,
            Access::ReadIntegrations,
            Access::WriteSyncs,
            Access::StageRecords,
            Access::PollRetries,
            Access::ClaimRetries,
            Access::Administer,
            Access::RetryByHand,
            Access::Own,
        ];
        all.into_iter().filter(|access| context.require(*access).is_ok()).collect()
    }

    #[test]
    fn a_viewer_looks_and_does_not_touch() {
        let expected = [Access::Read, Access::ReadSyncs, Access::ReadIntegrations, Access::PollRetries, Access::Own];
        assert_eq!(allowed(&person(Role::OrgViewer)), expected);
    }

    #[test]
    fn an_administrator_may_everything_in_the_organization() {
        assert_eq!(allowed(&person(Role::OrgAdmin)).len(), 10);
        assert!(!allowed(&person(Role::GlobalAdmin)).contains(&Access::RetryByHand));
    }

    #[test]
    fn a_machine_may_what_its_scopes_say() {
        assert!(allowed(&machine(&[])).is_empty());
        assert_eq!(allowed(&machine(&[Scope::SyncsWrite])), [Access::WriteSyncs]);
        assert_eq!(allowed(&machine(&[Scope::SyncsRead])), [Access::Read, Access::ReadSyncs, Access::PollRetries]);
        assert_eq!(allowed(&machine(&[Scope::RetriesClaim])), [Access::PollRetries, Access::ClaimRetries]);
        assert_eq!(allowed(&machine(Scope::ALL)).len(), 7);
    }

    #[test]
    fn scopes_given_to_a_person_count_for_nothing() {
        let context = OrgContext { scopes: Scope::ALL.iter().copied().collect(), ..person(Role::OrgViewer) };
        assert!(context.require(Access::WriteSyncs).is_err());
    }
}
