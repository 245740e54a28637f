//! Access tokens: JWTs signed with Ed25519 by this installation, published as a key set.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::context::{OrgContext, Principal, Role, Scope};

/// The audience of every token of Syncwatch.
pub const AUDIENCE: &str = "syncwatch";
/// The type in the header of access tokens (RFC 9068).
const TOKEN_TYPE: &str = "at+jwt";
/// Seconds by which two machines' clocks may differ.
const LEEWAY_SECONDS: i64 = 5;
/// Longest token that is looked at.
const MAX_TOKEN_BYTES: usize = 4096;

/// Why a token was refused; callers learn only that it was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of an algorithm, type or key that is taken here.
    #[error("not a token that is taken here")]
    Unacceptable,
    /// Wrong signature, issuer or audience, or claims of another shape.
    #[error("the token is not valid")]
    Invalid,
    /// Expired, or not valid yet.
    #[error("the token is not valid now")]
    NotNow,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    exp: i64,
    iat: i64,
    nbf: i64,
    jti: Uuid,
    org: Uuid,
    role: String,
    /// Space-separated; absent in tokens of persons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// A key pair of this installation.
pub struct SigningPair {
    /// Names the key in tokens and in the key set.
    pub kid: String,
    /// The public key, 32 bytes.
    pub public_key: [u8; 32],
    /// The private key in PKCS#8.
    pub private_key: Vec<u8>,
}

impl SigningPair {
    /// A new random pair; its id is the key's thumbprint.
    pub fn generate() -> Result<Self, TokenError> {
        let mut seed = [0; 32];
        rand::RngCore::fill_bytes(&mut rand::rng(), &mut seed);
        let key = SigningKey::from_bytes(&seed);
        let private_key = key.to_pkcs8_der().map_err(|_| TokenError::Invalid)?.as_bytes().to_vec();
        let public_key = key.verifying_key().to_bytes();
        let kid = URL_SAFE_NO_PAD.encode(&Sha256::digest(public_key)[..12]);
        Ok(Self { kid, public_key, private_key })
    }
}

/// Somebody whose tokens are taken: this installation, and whoever else is added to the list.
struct Issuer {
    name: String,
    keys: Vec<(String, DecodingKey)>,
}

/// Issues and verifies access tokens.
pub struct TokenService {
    issuers: Vec<Issuer>,
    own_issuer: String,
    signing: (String, EncodingKey),
    key_set: Value,
    lifetime: Duration,
}

/// An issued token.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The JWT.
    pub token: String,
    /// Seconds until it expires.
    pub expires_in: u32,
}

impl TokenService {
    /// A service that signs with the first pair and takes tokens of all of them.
    pub fn new(issuer: &str, pairs: &[SigningPair], lifetime_seconds: u32) -> Result<Self, TokenError> {
        let newest = pairs.first().ok_or(TokenError::Invalid)?;
        let mut keys = Vec::new();
        let mut published = Vec::new();
        for pair in pairs {
            let x = URL_SAFE_NO_PAD.encode(pair.public_key);
            let key = DecodingKey::from_ed_components(&x).map_err(|_| TokenError::Invalid)?;
            keys.push((pair.kid.clone(), key));
            published.push(json!({
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": pair.kid, "x": x,
            }));
        }
        Ok(Self {
            issuers: vec![Issuer { name: issuer.to_owned(), keys }],
            own_issuer: issuer.to_owned(),
            signing: (newest.kid.clone(), EncodingKey::from_ed_der(&newest.private_key)),
            key_set: json!({ "keys": published }),
            lifetime: Duration::seconds(i64::from(lifetime_seconds)),
        })
    }

    /// The published keys (RFC 7517).
    pub fn key_set(&self) -> &Value {
        &self.key_set
    }

    /// Issues a token to a principal in an organization.
    pub fn issue(
        &self,
        organization_id: Uuid,
        principal: Principal,
        role: Role,
        scopes: &BTreeSet<Scope>,
        now: DateTime<Utc>,
    ) -> Result<Issued, TokenError> {
        let scope = match principal {
            Principal::Person(_) => None,
            Principal::Machine(_) => Some(join_scopes(scopes)),
        };
        let claims = Claims {
            iss: self.own_issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub: principal.id(),
            exp: (now + self.lifetime).timestamp(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            jti: Uuid::now_v7(),
            org: organization_id,
            role: role.as_str().to_owned(),
            scope,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.signing.0.clone());
        let token = jsonwebtoken::encode(&header, &claims, &self.signing.1).map_err(|_| TokenError::Invalid)?;
        Ok(Issued { token, expires_in: u32::try_from(self.lifetime.num_seconds()).unwrap_or(0) })
    }

    /// Checks a token and says who its bearer is.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<OrgContext, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Unacceptable);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Unacceptable)?;
        // The list of algorithms is ours; the token only has to agree with it.
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TOKEN_TYPE) || header.crit.is_some() {
            return Err(TokenError::Unacceptable);
        }
        let kid = header.kid.ok_or(TokenError::Unacceptable)?;
        let (issuer, key) = self
            .issuers
            .iter()
            .find_map(|issuer| {
                let (_, key) = issuer.keys.iter().find(|(id, _)| *id == kid)?;
                Some((issuer, key))
            })
            .ok_or(TokenError::Unacceptable)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&issuer.name]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        // Time is judged below, by the server's own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).map_err(|_| TokenError::Invalid)?.claims;
        let seconds = now.timestamp();
        if claims.exp.saturating_add(LEEWAY_SECONDS) <= seconds || claims.nbf.saturating_sub(LEEWAY_SECONDS) > seconds {
            return Err(TokenError::NotNow);
        }
        context_of(&claims)
    }
}

fn context_of(claims: &Claims) -> Result<OrgContext, TokenError> {
    let role: Role = claims.role.parse().map_err(|_| TokenError::Invalid)?;
    let scopes = claims.scope.as_deref().map(parse_scopes).transpose()?.unwrap_or_default();
    let principal = match role {
        Role::Runner => Principal::Machine(claims.sub),
        Role::OrgViewer | Role::OrgAdmin | Role::GlobalAdmin => Principal::Person(claims.sub),
    };
    let expires_at = DateTime::from_timestamp(claims.exp, 0).ok_or(TokenError::Invalid)?;
    Ok(OrgContext { organization_id: claims.org, principal, role, scopes, expires_at })
}

fn join_scopes(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

fn parse_scopes(text: &str) -> Result<BTreeSet<Scope>, TokenError> {
    text.split_ascii_whitespace().map(|word| word.parse().map_err(|_| TokenError::Invalid)).collect()
}

#[cfg(test)]
mod tests;
