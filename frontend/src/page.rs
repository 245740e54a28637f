//! Every address of the dashboard.

use uuid::Uuid;

/// A page, with what its address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// Sign in; afterwards the address the person came for is opened.
    SignIn,
    /// Every integration, worst first.
    Integrations,
    /// One integration.
    Integration(Uuid),
    /// One sync.
    Sync(Uuid),
    /// One source record's journey.
    Record {
        /// Its type.
        kind: String,
        /// Its id.
        id: Uuid,
    },
    /// In-app notifications.
    Notifications,
}

impl Page {
    /// The page at a path.
    pub fn parse(path: &str) -> Option<Self> {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let page = match (segments.next(), segments.next(), segments.next()) {
            (None, ..) | (Some("integrations"), None, _) => Self::Integrations,
            (Some("sign-in"), None, _) => Self::SignIn,
            (Some("notifications"), None, _) => Self::Notifications,
            (Some("integrations"), Some(id), None) => Self::Integration(id.parse().ok()?),
            (Some("syncs"), Some(id), None) => Self::Sync(id.parse().ok()?),
            (Some("records"), Some(kind), Some(id)) => Self::Record { kind: kind.to_owned(), id: id.parse().ok()? },
            _ => return None,
        };
        segments.next().is_none().then_some(page)
    }

    /// The page's path.
    pub fn path(&self) -> String {
        match self {
            Self::SignIn => "/sign-in".to_owned(),
            Self::Integrations => "/integrations".to_owned(),
            Self::Integration(id) => format!("/integrations/{id}"),
            Self::Sync(id) => format!("/syncs/{id}"),
            Self::Record { kind, id } => format!("/records/{kind}/{id}"),
            Self::Notifications => "/notifications".to_owned(),
        }
    }

    /// The sign-in page that leads back to an address.
    pub fn sign_in_for(target: &str) -> String {
        if target.is_empty() || target == "/" {
            return Self::SignIn.path();
        }
        let escaped: String = target
            .bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                    char::from(byte).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect();
        format!("{}?to={escaped}", Self::SignIn.path())
    }

    /// Where a person goes after signing in. Only addresses of this dashboard count, never another host's.
    pub fn target(to: Option<&str>) -> String {
        to.filter(|to| to.starts_with('/') && !to.starts_with("//") && !to.contains('\\'))
            .filter(|to| {
                let path = to.split(['?', '#']).next().unwrap_or_default();
                Self::parse(path).is_some_and(|page| page != Self::SignIn)
            })
            .map_or_else(|| Self::Integrations.path(), str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_leads_back_to_its_page() {
        let id = Uuid::from_u128(7);
        for page in [
            Page::SignIn,
            Page::Integrations,
            Page::Integration(id),
            Page::Sync(id),
            Page::Record { kind: "reimbursement_approvals".to_owned(), id },
            Page::Notifications,
        ] {
            assert_eq!(Page::parse(&page.path()), Some(page));
        }
        assert_eq!(Page::parse("/"), Some(Page::Integrations));
        assert_eq!(Page::parse("/integrations/7"), None);
        assert_eq!(Page::parse("/syncs"), None);
        assert_eq!(Page::parse(&format!("/syncs/{id}/more")), None);
    }

    #[test]
    fn signing_in_leads_back_and_never_out() {
        assert_eq!(Page::sign_in_for("/syncs/1?a=b"), "/sign-in?to=/syncs/1%3Fa%3Db");
        assert_eq!(Page::target(Some("/notifications?x=1")), "/notifications?x=1");
        for hostile in ["https://evil.example/", "//evil.example", "/\\evil.example", "/sign-in?to=/", "javascript:x"] {
            assert_eq!(Page::target(Some(hostile)), "/integrations", "{hostile}");
        }
    }
}
