//! What can go wrong with the database.

/// What [`StoreError::Constraint`] names where no partition takes a row.
pub const NO_PARTITION: &str = "started_at_out_of_range";

/// A database error, sorted by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A named constraint or rule trigger refused the statement.
    #[error("the rule {name} refused the statement")]
    Constraint {
        /// The constraint's name; rule triggers use the rule's.
        name: String,
        /// Whether it is a uniqueness constraint.
        unique: bool,
    },
    /// The database cannot be reached, or is shutting down; trying again later may work.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// Two transactions got into each other's way; trying again may work.
    #[error("the transaction was rolled back in favour of another")]
    Contention(#[source] sqlx::Error),
    /// Stored data that the code does not understand.
    #[error("stored data is not readable: {0}")]
    Corrupt(String),
    /// The database role may do more than it should.
    #[error("the role {role} {may}; the application refuses to serve with it")]
    UnsafeRole {
        /// The role.
        role: String,
        /// What it may do that it should not.
        may: &'static str,
    },
    /// The database that is to be migrated has not been made.
    #[error(
        "there is no database {name}: its server's superuser makes it by `{command}`, after \
         `CREATE ROLE {owner} LOGIN` where there is no such role"
    )]
    NoDatabase {
        /// Its name.
        name: String,
        /// What makes it.
        command: String,
        /// The role that owns it.
        owner: &'static str,
    },
    /// Everything else: a mistake in the code or the schema.
    #[error("the database refused a statement")]
    Other(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether trying again later may work.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contention(_))
    }

    /// Whether a named constraint or rule refused.
    pub fn is_constraint(&self, wanted: &str) -> bool {
        matches!(self, Self::Constraint { name, .. } if name == wanted)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                match code.as_str() {
                    // Integrity constraints and rule triggers.
                    // No partition takes the row: its month was archived, or lies outside the ledger.
                    "23514" if database.constraint().is_none() => {
                        Self::Constraint { name: NO_PARTITION.to_owned(), unique: false }
                    }
                    "23505" | "23503" | "23514" | "23502" | "23P01" => Self::Constraint {
                        name: database.constraint().unwrap_or_default().to_owned(),
                        unique: code == "23505",
                    },
                    "40001" | "40P01" | "55P03" => Self::Contention(error),
                    // Shutdown, start-up, too many connections, cannot connect now.
                    "57P01" | "57P02" | "57P03" | "53300" => Self::Unavailable(error),
                    _ if code.starts_with("08") => Self::Unavailable(error),
                    _ => Self::Other(error),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Other(error),
        }
    }
}

impl From<domain::violation::UnknownWord> for StoreError {
    fn from(unknown: domain::violation::UnknownWord) -> Self {
        Self::Corrupt(unknown.to_string())
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
