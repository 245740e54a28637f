//! Who belongs to which organization, in which role.

use sqlx::FromRow;
use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;

/// A person's place in an organization.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Membership {
    /// The organization.
    pub organization_id: Uuid,
    /// Its name.
    pub organization_name: String,
    /// `org_viewer`, `org_admin` or `global_admin`.
    pub role: String,
}

/// The organizations of the transaction's person, by name.
pub async fn of_person(tx: &mut PlainTx, user_id: Uuid) -> Result<Vec<Membership>, StoreError> {
    Ok(sqlx::query_as(
        "
        SELECT memberships.organization_id, organizations.name AS organization_name, memberships.role
        FROM memberships JOIN organizations USING (organization_id)
        WHERE memberships.user_id = $1
        ORDER BY organizations.name, memberships.organization_id
        ",
    )
    .bind(user_id)
    .fetch_all(tx.conn())
    .await?)
}

/// An administrator of an organization, as notifications address them.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Administrator {
    /// The person.
    pub user_id: Uuid,
    /// `en`, `nb` or `nn`.
    pub language: String,
    /// Whether incidents are told by e-mail.
    pub email_on_incident: bool,
}

/// The administrators of the transaction's organization.
pub async fn administrators(tx: &mut OrgTx) -> Result<Vec<Administrator>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_as(
        "
        SELECT users.id AS user_id, users.language, users.email_on_incident
        FROM memberships JOIN users ON users.id = memberships.user_id
        WHERE memberships.organization_id = $1 AND memberships.role = 'org_admin'
        ORDER BY users.id
        ",
    )
    .bind(organization_id)
    .fetch_all(tx.conn())
    .await?)
}

/// The name and time zone of the transaction's organization.
pub async fn organization(tx: &mut OrgTx) -> Result<(String, String), StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_as("SELECT name, time_zone FROM organizations WHERE organization_id = $1")
        .bind(organization_id)
        .fetch_one(tx.conn())
        .await?)
}
