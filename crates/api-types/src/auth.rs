//! Signing in, and who is signed in.

use domain::language::Language;
use uuid::Uuid;

use crate::macros::wire;

wire! {
    /// What a person signs in with.
    #[serde(deny_unknown_fields)]
    pub struct LoginRequest {
        /// E-mail address.
        #[cfg_attr(feature = "openapi", schema(max_length = 320))]
        pub email: String,
        /// Password.
        pub password: String,
        /// The organization to sign in to; needed only by members of several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub organization_id: Option<Uuid>,
    }

    /// An access token.
    pub struct TokenResponse {
        /// The JWT.
        pub access_token: String,
        /// Always `Bearer`.
        pub token_type: String,
        /// Seconds until it expires.
        pub expires_in: u32,
    }

    /// The form of the OAuth 2.0 client credentials grant.
    pub struct ClientCredentialsForm {
        /// Always `client_credentials`.
        #[cfg_attr(feature = "openapi", schema(pattern = "^client_credentials$"))]
        pub grant_type: String,
        /// The key's id.
        #[cfg_attr(feature = "openapi", schema(format = Uuid))]
        pub client_id: String,
        /// The key's secret, shown once when it was made.
        pub client_secret: String,
        /// Space-separated scopes; all of the key's, if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(
                value_type = String,
                required = false,
                pattern = "^((syncs:write|syncs:read|records:write|retries:claim|integrations:read|debug)( (syncs:write|syncs:read|records:write|retries:claim|integrations:read|debug))*)?$"
            ))]
        pub scope: Option<String>,
    }

    /// Who is signed in.
    pub struct Me {
        /// The person's id; a key's id for machines.
        pub id: Uuid,
        /// Display name.
        pub name: String,
        /// E-mail address; `null` for machines.
        pub email: Option<String>,
        /// The role in the organization: `org_viewer`, `org_admin`, `runner`, `global_admin`.
        pub role: String,
        /// The language they are spoken to in.
        pub language: Language,
        /// Whether incidents are told by e-mail.
        pub email_on_incident: bool,
        /// The organization of the token.
        pub organization: OrganizationRef,
        /// Every organization the person can sign in to.
        pub organizations: Vec<OrganizationRef>,
    }

    /// An organization, by id and name.
    pub struct OrganizationRef {
        /// Its id.
        pub id: Uuid,
        /// Its display name.
        pub name: String,
    }

    /// Changes of the signed-in person's own settings; members left out stay.
    #[serde(deny_unknown_fields)]
    pub struct MePatch {
        /// The language they are spoken to in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub language: Option<Language>,
        /// Whether incidents are told by e-mail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub email_on_incident: Option<bool>,
    }
}
