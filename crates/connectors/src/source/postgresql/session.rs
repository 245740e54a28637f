//! Connections to a database that is only read.
//!
//! What an organization's query may do is not left to its words: it is asked by the extended protocol, which takes one
//! statement, and within a transaction that only reads, which a statement cannot change once it runs; the database itself
//! ends what takes too long; and who may do everything there is refused. All of this is set for one transaction at a time,
//! so that a pooler between may give the connection to others in turn. In the end the transaction is undone: nothing is kept
//! of what a function did on the way.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Connection, Error, NoTls, Row, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::metered::{Allowance, Metered};
use super::settings::{Login, Settings};
use super::trouble::{of_asking, of_connecting, of_letting_in, too_large, trouble};
use crate::guard::{self, OutboundPolicy};
use crate::source::SourceTrouble;

/// The longest time connecting may take.
const MAX_CONNECT: Duration = Duration::from_secs(10);
/// Bytes that may come until somebody is let in: certificates and settings.
const TO_LET_IN: usize = 256 * 1024;
/// Bytes that may come while a query is prepared: few, since each type that is not known is asked for, whoever made it up.
const TO_PREPARE: usize = 16 * 1024;
/// Bytes of an answer.
const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// How long a connection that is no longer needed has for taking its leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether the role, or one that it may become, may do everything, or what no transaction holds in: reach files and
/// programs of the server's machine, or make a replication slot, for which the server keeps its log until it is full.
const MAY_DO_EVERYTHING: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_roles r
        WHERE (
            r.rolsuper OR r.rolreplication
            OR r.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
        ) AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
    )
";

/// A value in a query's place, and what type it has there.
pub(super) type Parameter = (Box<dyn ToSql + Sync + Send>, Type);

/// What is asked.
pub(super) struct Question<'a> {
    /// Which setting it comes from.
    pub(super) name: &'static str,
    pub(super) sql: &'a str,
    pub(super) parameters: Vec<Parameter>,
    /// Rows that an answer may have.
    pub(super) most: usize,
}

/// Why a question has no answer.
pub(super) enum Unanswered {
    /// The connection was gone: another one may be better.
    Lost(SourceTrouble),
    /// Asking again would not help.
    Said(SourceTrouble),
}

impl Unanswered {
    pub(super) fn into_trouble(self) -> SourceTrouble {
        match self {
            Self::Lost(trouble) | Self::Said(trouble) => trouble,
        }
    }
}

/// A connection on which one was let in.
pub(super) struct Session {
    client: Client,
    allowance: Allowance,
    /// The connection ends soon after this does.
    _needed: oneshot::Sender<()>,
}

impl Session {
    /// Connects, and sees that nobody is let in who may do everything.
    pub(super) async fn open(
        settings: &Settings,
        login: &Login,
        tls: Option<&MakeRustlsConnect>,
        policy: &OutboundPolicy,
        until: Instant,
    ) -> Result<Self, SourceTrouble> {
        let within = (settings.timeout / 2).min(MAX_CONNECT);
        let stream = guard::connect(policy, &settings.host, settings.port, within)
            .await
            .map_err(|error| of_connecting(&error))?;
        // Small questions, each of which waits for its answer. Without this they are only slower.
        let _ = stream.set_nodelay(true);
        let allowance = Allowance::of(TO_LET_IN);
        let stream = Metered::new(stream, allowance.clone());
        let mut config = Config::new();
        config.user(&login.username).password(&login.password).dbname(&settings.database);
        config.application_name("Syncwatch");
        let letting_in = |error: Error| {
            if allowance.is_used_up() { too_large() } else { of_letting_in(&error, tls.is_some()) }
        };
        let session = if let Some(tls) = tls {
            let tls = MakeTlsConnect::<Metered>::make_tls_connect(&mut tls.clone(), &settings.host)
                .map_err(|_| trouble("TLS_FAILURE", "No certificate could be for the host's name."))?;
            let (client, connection) =
                config.ssl_mode(SslMode::Require).connect_raw(stream, tls).await.map_err(letting_in)?;
            Self::run(client, connection, allowance)
        } else {
            let (client, connection) =
                config.ssl_mode(SslMode::Disable).connect_raw(stream, NoTls).await.map_err(letting_in)?;
            Self::run(client, connection, allowance)
        };
        session.is_no_superuser(until).await.map_err(Unanswered::into_trouble)?;
        Ok(session)
    }

    fn run<T>(client: Client, mut connection: Connection<Metered, T>, allowance: Allowance) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (needed, ended) = oneshot::channel();
        tokio::spawn(async move {
            // Notices are nobody's: they may hold what records say.
            let talk = async { while let Some(Ok(_)) = poll_fn(|context| connection.poll_message(context)).await {} };
            let mut talk = pin!(talk);
            tokio::select! {
                () = &mut talk => {}
                _ = ended => {
                    let _ = timeout(FAREWELL, talk).await;
                }
            }
        });
        Self { client, allowance, _needed: needed }
    }

    /// Whether the other end has hung up.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn is_no_superuser(&self, until: Instant) -> Result<(), Unanswered> {
        const WHAT: &str = "to say what the role may do";
        let begun = begin(until);
        let asked = self.client.simple_query(&format!("{begun}; {MAY_DO_EVERYTHING}; COMMIT")).await;
        let messages = asked.map_err(|error| self.unanswered(&error, WHAT))?;
        let said = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
            _ => None,
        });
        match said {
            Some("f") => Ok(()),
            Some("t") => {
                let message = "This role may do everything in the database, reach its server's files or programs, or \
                               replicate it, or may become one that does. Use a role that may only read.";
                Err(Unanswered::Said(trouble("ROLE_TOO_POWERFUL", message)))
            }
            _ => Err(Unanswered::Said(trouble("SOURCE_UNCLEAR", "The database does not say what the role may do."))),
        }
    }

    /// Asks in a transaction of its own. A session that has not answered is not to be asked again.
    pub(super) async fn ask<R>(
        &self,
        question: Question<'_>,
        until: Instant,
        read: impl Fn(&Row) -> Result<R, SourceTrouble>,
    ) -> Result<Vec<R>, Unanswered> {
        let Question { name, sql, parameters, most } = question;
        let unanswered = |error: Error| self.unanswered(&error, name);
        self.allowance.renew(TO_PREPARE);
        self.client.batch_execute(&begin(until)).await.map_err(unanswered)?;
        let (values, types): (Vec<_>, Vec<_>) = parameters.into_iter().unzip();
        let mut answer = Vec::new();
        {
            // Closed with this block, while the transaction still holds the connection: behind a pooler the next words may
            // reach another one, and this one would keep the statement, whose name another process may come to use.
            let statement = self.client.prepare_typed(sql, &types).await.map_err(unanswered)?;
            self.allowance.renew(MAX_ANSWER);
            let rows = self.client.query_raw(&statement, values).await.map_err(unanswered)?;
            let mut rows = pin!(rows);
            while let Some(row) = rows.try_next().await.map_err(unanswered)? {
                if answer.len() == most {
                    let message = "The database answered with more records than it was asked for.";
                    return Err(Unanswered::Said(trouble("SOURCE_UNCLEAR", message)));
                }
                answer.push(read(&row).map_err(Unanswered::Said)?);
            }
        }
        // Before PostgreSQL 16, large objects can be written in a transaction that only reads; and a function can change a
        // setting for all that follows.
        self.client.batch_execute("ROLLBACK").await.map_err(unanswered)?;
        Ok(answer)
    }

    fn unanswered(&self, error: &Error, name: &str) -> Unanswered {
        if self.allowance.is_used_up() {
            return Unanswered::Said(too_large());
        }
        let trouble = of_asking(error, name);
        // What ends idle sessions, the database or a pooler, may have a word with whoever asks next.
        let says_so = |state: &str| ["57P", "08"].iter().any(|class| state.starts_with(class));
        let is_over = error.is_closed() || error.code().is_some_and(|state| says_so(state.code()));
        if is_over { Unanswered::Lost(trouble) } else { Unanswered::Said(trouble) }
    }
}

/// Begins a transaction that only reads, and that the database ends by itself before nobody waits for it any more. What
/// it says is written the same way for every role: a record that has not changed is not to look as if it had. And texts end
/// where they were seen to end when the query was saved.
fn begin(until: Instant) -> String {
    let left = until.saturating_duration_since(Instant::now()) / 10 * 9;
    let millis = left.as_millis().max(1);
    format!(
        "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {millis}; \
         SET LOCAL idle_in_transaction_session_timeout = {millis}; SET LOCAL TimeZone = 'UTC'; \
         SET LOCAL DateStyle = 'ISO, MDY'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex'; \
         SET LOCAL extra_float_digits = 1; SET LOCAL standard_conforming_strings = on"
    )
}
