//! Tokens as they should be, and every forgery we could think of.

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;

use super::*;

const ISSUER: &str = "https://sync.example/";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": Uuid::from_u128(1), "org": Uuid::from_u128(2), "jti": Uuid::from_u128(3),
        "exp": now().timestamp() + 600, "iat": now().timestamp(), "nbf": now().timestamp(), "role": "org_admin",
    })
}

struct Rig {
    service: TokenService,
    kid: String,
    key: SigningKey,
}

fn rig() -> Rig {
    let pair = SigningPair::generate().unwrap();
    let key = SigningKey::from_pkcs8_der(&pair.private_key).unwrap();
    let kid = pair.kid.clone();
    Rig { service: TokenService::new(ISSUER, &[pair], 600).unwrap(), kid, key }
}

impl Rig {
    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.kid })
    }

    /// Signs whatever it is given, as a forger with the right key could.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        sign_with(&self.key, header, claims)
    }

    fn refuses(&self, token: &str) -> TokenError {
        self.service.verify(token, now()).unwrap_err()
    }

    /// Refuses the claims after one change.
    fn refuses_claim(&self, name: &str, value: Value) -> TokenError {
        let mut claims = claims();
        claims[name] = value;
        self.refuses(&self.sign(&self.header(), &claims))
    }
}

fn sign_with(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).to_bytes());
    format!("{message}.{signature}")
}

#[test]
fn an_issued_token_names_its_bearer() {
    let rig = rig();
    let (organization, user) = (Uuid::from_u128(7), Uuid::from_u128(8));
    let issued =
        rig.service.issue(organization, Principal::Person(user), Role::OrgAdmin, &BTreeSet::new(), now()).unwrap();
    assert_eq!(issued.expires_in, 600);
    let context = rig.service.verify(&issued.token, now()).unwrap();
    assert_eq!(context.organization_id, organization);
    assert_eq!(context.principal, Principal::Person(user));
    assert_eq!(context.role, Role::OrgAdmin);
}

#[test]
fn a_machines_token_carries_its_scopes() {
    let rig = rig();
    let scopes = BTreeSet::from([Scope::SyncsWrite, Scope::RecordsWrite]);
    let key = Principal::Machine(Uuid::from_u128(9));
    let issued = rig.service.issue(Uuid::nil(), key, Role::Runner, &scopes, now()).unwrap();
    let context = rig.service.verify(&issued.token, now()).unwrap();
    assert_eq!(context.scopes, scopes);
    assert_eq!(context.principal, key);
}

#[test]
fn the_rig_signs_tokens_that_are_taken() {
    let rig = rig();
    rig.service.verify(&rig.sign(&rig.header(), &claims()), now()).unwrap();
}

#[test]
fn no_algorithm_but_ours_is_taken() {
    let rig = rig();
    for algorithm in ["none", "None", "NONE", "HS256", "RS256", "ES256"] {
        let mut header = rig.header();
        header["alg"] = algorithm.into();
        assert_eq!(rig.refuses(&rig.sign(&header, &claims())), TokenError::Unacceptable, "{algorithm}");
        // Without a signature, as "none" has it.
        let token = rig.sign(&header, &claims());
        let unsigned = &token[..=token.rfind('.').unwrap()];
        assert_eq!(rig.refuses(unsigned), TokenError::Unacceptable, "{algorithm}");
    }
}

#[test]
fn a_missing_signature_is_refused() {
    let rig = rig();
    let token = rig.sign(&rig.header(), &claims());
    let unsigned = &token[..=token.rfind('.').unwrap()];
    assert_eq!(rig.refuses(unsigned), TokenError::Invalid);
}

#[test]
fn the_public_key_used_as_a_shared_secret_is_refused() {
    use hmac::{KeyInit as _, Mac as _};
    let rig = rig();
    let mut header = rig.header();
    header["alg"] = "HS256".into();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims()));
    let mut mac = hmac::Hmac::<Sha256>::new_from_slice(rig.key.verifying_key().as_bytes()).unwrap();
    mac.update(message.as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    assert_eq!(rig.refuses(&token), TokenError::Unacceptable);
}

#[test]
fn another_key_under_our_name_is_refused() {
    let rig = rig();
    let stranger = SigningKey::from_bytes(&[7; 32]);
    assert_eq!(rig.refuses(&sign_with(&stranger, &rig.header(), &claims())), TokenError::Invalid);
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let rig = rig();
    let stranger = SigningKey::from_bytes(&[7; 32]);
    let mut header = rig.header();
    header["jwk"] = json!({
        "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(stranger.verifying_key().to_bytes()),
    });
    assert_eq!(rig.refuses(&sign_with(&stranger, &header, &claims())), TokenError::Invalid);
}

#[test]
fn an_unknown_or_missing_key_id_is_refused() {
    let rig = rig();
    for kid in [json!("other"), Value::Null] {
        let mut header = rig.header();
        header["kid"] = kid;
        assert_eq!(rig.refuses(&rig.sign(&header, &claims())), TokenError::Unacceptable);
    }
}

#[test]
fn another_type_of_token_is_refused() {
    let rig = rig();
    let mut header = rig.header();
    header["typ"] = "JWT".into();
    assert_eq!(rig.refuses(&rig.sign(&header, &claims())), TokenError::Unacceptable);
}

#[test]
fn a_wrong_audience_or_issuer_is_refused() {
    let rig = rig();
    assert_eq!(rig.refuses_claim("aud", json!("elsewhere")), TokenError::Invalid);
    assert_eq!(rig.refuses_claim("iss", json!("https://elsewhere.example/")), TokenError::Invalid);
    assert_eq!(rig.refuses_claim("aud", Value::Null), TokenError::Invalid);
    assert_eq!(rig.refuses_claim("iss", Value::Null), TokenError::Invalid);
}

#[test]
fn a_token_is_taken_in_its_time_only() {
    let rig = rig();
    let seconds = now().timestamp();
    assert_eq!(rig.refuses_claim("exp", json!(seconds - 6)), TokenError::NotNow);
    assert_eq!(rig.refuses_claim("nbf", json!(seconds + 60)), TokenError::NotNow);
    assert_eq!(rig.refuses_claim("exp", json!("never")), TokenError::Invalid);
    assert_eq!(rig.refuses_claim("exp", Value::Null), TokenError::Invalid);
    let issued = rig
        .service
        .issue(Uuid::nil(), Principal::Person(Uuid::nil()), Role::OrgViewer, &BTreeSet::new(), now())
        .unwrap();
    assert!(rig.service.verify(&issued.token, now() + Duration::seconds(600)).is_ok(), "within the clocks' leeway");
    assert_eq!(rig.service.verify(&issued.token, now() + Duration::seconds(605)).err(), Some(TokenError::NotNow));
}

#[test]
fn an_unknown_role_or_scope_is_refused() {
    let rig = rig();
    assert_eq!(rig.refuses_claim("role", json!("emperor")), TokenError::Invalid);
    assert_eq!(rig.refuses_claim("scope", json!("syncs:write everything")), TokenError::Invalid);
}

#[test]
fn changed_claims_break_the_signature() {
    let rig = rig();
    let token = rig.sign(&rig.header(), &claims());
    let mut other = claims();
    other["org"] = json!(Uuid::from_u128(99));
    let parts: Vec<&str> = token.split('.').collect();
    let forged = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(other.to_string()), parts[2]);
    assert_eq!(rig.refuses(&forged), TokenError::Invalid);
}

#[test]
fn rubbish_is_refused() {
    let rig = rig();
    for token in ["", ".", "..", "a.b.c", "ÿ.ÿ.ÿ", &"x".repeat(5000)] {
        assert_eq!(rig.refuses(token), TokenError::Unacceptable);
    }
}

#[test]
fn an_older_key_still_verifies_after_rotation() {
    let (old, new) = (SigningPair::generate().unwrap(), SigningPair::generate().unwrap());
    let person = Principal::Person(Uuid::nil());
    let before = TokenService::new(ISSUER, std::slice::from_ref(&old), 600).unwrap();
    let issued = before.issue(Uuid::nil(), person, Role::OrgViewer, &BTreeSet::new(), now()).unwrap();
    let after = TokenService::new(ISSUER, &[new, old], 600).unwrap();
    after.verify(&issued.token, now()).unwrap();
    assert_eq!(after.key_set()["keys"].as_array().unwrap().len(), 2);
}
