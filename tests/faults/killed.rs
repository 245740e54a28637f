//! SIGKILL in the middle of a sync: nothing acknowledged is lost, nothing arrives twice, and the work goes on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::try_join;
use serde_json::{Value, json};
use tests::peers::{Behaviour, Books};
use tests::story::{Caller, Claim, until};
use uuid::Uuid;

use crate::installation::Installation;

/// Records of a sync.
const RECORDS: usize = 200;
/// What must have arrived before the blow falls.
const BEFORE: usize = 40;
/// From here on the books take their time until the blow has fallen, however late that is.
const HELD: u32 = 160;
/// Most that the blow can make doubtful: two requests on their way, and as many records marked ahead of theirs.
const DOUBTFUL: usize = 4;
/// From the restart until the abandoned attempt must be closed.
const CLOSED_WITHIN: Duration = Duration::from_mins(1);

/// A sync that the blow finds in its middle.
struct Half {
    books: Books,
    integration: Uuid,
    claims: Vec<Claim>,
    sync: Uuid,
}

impl Half {
    /// Stages the records and sends none yet.
    async fn prepare(admin: &Caller, idempotency_header: Option<&str>) -> anyhow::Result<Self> {
        let books = Books::fastapi().await?;
        let slow = Behaviour { delay_ms: Some(20), hold_after: Some(HELD), ..Behaviour::default() };
        books.behave(slow).await?;
        let settings = json!({
            "url": books.url("/claims"), "idempotency_header": idempotency_header, "reference_pointer": "/reference",
            "concurrency": 2,
        });
        let integration = admin.connect(settings, json!({})).await?;
        let claims = Claim::many(RECORDS);
        admin.stage_all(integration, &claims).await?;
        Ok(Self { books, integration, claims, sync: Uuid::nil() })
    }

    async fn begin(&mut self, admin: &Caller) -> anyhow::Result<()> {
        self.sync = admin.trigger(self.integration).await?;
        Ok(())
    }

    async fn reaches_its_middle(&self) -> anyhow::Result<()> {
        until("the sync is in its middle", async || Ok((self.books.log().await?.accepted >= BEFORE).then_some(())))
            .await
    }

    /// After the blow: what was on its way arrives, and so does what comes.
    async fn goes_on(&self) -> anyhow::Result<()> {
        self.books.behave(Behaviour::default()).await
    }

    /// After the restart: the attempt is closed, and the ledger claims no record that the peer doesn't have.
    async fn is_closed(&self, admin: &Caller) -> anyhow::Result<HashMap<&'static str, usize>> {
        let sync = until_closed(admin, self.sync).await?;
        assert_eq!((&sync["status"], &sync["error_code"]), (&json!("failed"), &json!("ATTEMPT_ABANDONED")), "{sync}");
        assert_eq!(sync["records_total"], RECORDS);
        let log = self.books.log().await?;
        assert!(log.accepted < RECORDS, "the blow came too late to mean anything");
        assert_eq!(log.duplicates, 0);
        let mut numbers = HashMap::new();
        for outcome in admin.outcomes(self.sync).await? {
            let id: Uuid = outcome["source_record_id"].as_str().unwrap_or_default().parse()?;
            let outcome = match outcome["outcome"].as_str() {
                Some("succeeded") => "succeeded",
                Some("unknown") => "unknown",
                Some("not_attempted") => "not_attempted",
                other => anyhow::bail!("the outcome {other:?} has no place here"),
            };
            match outcome {
                "succeeded" => assert_eq!(log.times(id), 1, "said to have arrived"),
                "not_attempted" => assert_eq!(log.times(id), 0, "said never to have left"),
                _ => {}
            }
            *numbers.entry(outcome).or_default() += 1;
        }
        assert_eq!(numbers.values().sum::<usize>(), RECORDS);
        assert!(numbers.get("unknown").copied().unwrap_or(0) <= DOUBTFUL, "{numbers:?}");
        assert_eq!(sync["records_processed"], numbers.get("succeeded").copied().unwrap_or(0));
        Ok(numbers)
    }

    async fn everything_arrived_once(&self, admin: &Caller) -> anyhow::Result<()> {
        let log = self.books.log().await?;
        assert_eq!((log.accepted, log.duplicates), (RECORDS, 0));
        assert!(self.claims.iter().all(|claim| log.times(claim.id) == 1));
        assert!(admin.all_are("delivered", self.integration, &self.claims).await?);
        assert_eq!(admin.integration(self.integration).await?["undelivered"]["records"], 0);
        Ok(())
    }
}

async fn until_closed(admin: &Caller, sync: Uuid) -> anyhow::Result<Value> {
    let deadline = Instant::now() + CLOSED_WITHIN;
    loop {
        let shown = admin.sync(sync).await?;
        if shown["status"] != "in_progress" {
            return Ok(shown);
        }
        ensure!(Instant::now() < deadline, "the attempt is still open: {shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn nothing_is_under_way(installation: &Installation) -> anyhow::Result<()> {
    for query in ["SELECT count(*) FROM active_syncs", "SELECT count(*) FROM sync_claims"] {
        assert_eq!(installation.number(query).await?, 0, "{query}");
    }
    Ok(())
}

/// With an idempotency header a retry asks again for what is unknown.
async fn finishes_by_a_retry(half: &Half, admin: &Caller) -> anyhow::Result<()> {
    let numbers = half.is_closed(admin).await?;
    let preview = admin.preview(half.sync).await?;
    let missing = RECORDS - numbers.get("succeeded").copied().unwrap_or(0);
    assert_eq!((&preview["records"], &preview["unknown"]), (&json!(missing), &json!(0)));
    let sync = admin.retried(half.sync).await?;
    assert_eq!((&sync["status"], &sync["records_processed"]), (&json!("retried_success"), &json!(RECORDS)), "{sync}");
    half.everything_arrived_once(admin).await
}

/// Without one, what is unknown waits until a person has looked into the books.
async fn finishes_by_a_decision(half: &Half, admin: &Caller) -> anyhow::Result<()> {
    let numbers = half.is_closed(admin).await?;
    let unknown = numbers.get("unknown").copied().unwrap_or(0);
    assert!(unknown > 0, "two records were on their way: {numbers:?}");
    let preview = admin.preview(half.sync).await?;
    let left = numbers.get("not_attempted").copied().unwrap_or(0);
    assert_eq!((&preview["records"], &preview["unknown"]), (&json!(left), &json!(unknown)));

    let before = half.books.log().await?;
    let next = admin.run(half.integration).await?;
    assert_eq!((&next["status"], &next["records_processed"]), (&json!("success"), &json!(left)), "{next}");
    let after = half.books.log().await?;
    assert_eq!((after.accepted, after.duplicates), (before.accepted + left, 0));
    assert_eq!(admin.retry(half.sync).await?.code(), "nothing_to_retry");

    for outcome in admin.outcomes(half.sync).await?.iter().filter(|outcome| outcome["outcome"] == "unknown") {
        let id: Uuid = outcome["source_record_id"].as_str().unwrap_or_default().parse()?;
        let decision = match after.reference_of(id) {
            Some(reference) => {
                json!({ "resolution": "delivered", "reason": "seen in the books", "reference": reference })
            }
            None => json!({ "resolution": "send_again", "reason": "not in the books" }),
        };
        admin.resolve(half.sync, id, &decision).await?.ok()?;
    }
    if after.accepted < RECORDS {
        admin.retried(half.sync).await?;
    }
    half.everything_arrived_once(admin).await
}

#[tokio::test]
async fn a_killed_server_delivers_the_rest_after_its_restart_and_nothing_twice() -> anyhow::Result<()> {
    let mut installation = Installation::start(None).await?;
    let admin = installation.sign_in().await?;
    let mut safe = Half::prepare(&admin, Some("Idempotency-Key")).await?;
    let mut careful = Half::prepare(&admin, None).await?;
    safe.begin(&admin).await?;
    careful.begin(&admin).await?;
    try_join(safe.reaches_its_middle(), careful.reaches_its_middle()).await?;
    installation.kill().await?;
    try_join(safe.goes_on(), careful.goes_on()).await?;
    installation.serve().await?;
    let admin = installation.sign_in().await?;
    assert_eq!(admin.syncs(safe.integration).await?.len(), 1, "what was acknowledged is there");
    finishes_by_a_retry(&safe, &admin).await?;
    finishes_by_a_decision(&careful, &admin).await?;
    nothing_is_under_way(&installation).await?;
    installation.fits_its_seals().await?;
    installation.stop().await
}

#[tokio::test]
async fn a_killed_database_ends_the_server_which_goes_on_after_its_restart() -> anyhow::Result<()> {
    let mut installation = Installation::start(None).await?;
    let admin = installation.sign_in().await?;
    let mut half = Half::prepare(&admin, Some("Idempotency-Key")).await?;
    half.begin(&admin).await?;
    half.reaches_its_middle().await?;
    installation.kill_postgres()?;
    half.goes_on().await?;
    // Until it has ended, it answers that it cannot, or not at all.
    until("nobody answers any more", async || match admin.sync(half.sync).await {
        Ok(_) => Ok(None),
        Err(_) => Ok(Some(())),
    })
    .await?;
    assert!(!installation.ended().await?, "an end without a reason");
    installation.serve().await?;
    let admin = installation.sign_in().await?;
    finishes_by_a_retry(&half, &admin).await?;
    nothing_is_under_way(&installation).await?;
    installation.fits_its_seals().await?;
    installation.stop().await
}
