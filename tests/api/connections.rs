//! Connections to the database: whoever shares some of them leaves the others to everybody else.

use std::time::Duration;

use store::{Database, OrgTx, PlainTx};
use tests::server::TestServer;
use uuid::Uuid;

#[tokio::test]
async fn those_that_share_wait_for_each_other_and_nobody_waits_for_them() {
    let server = TestServer::without_worker().await;
    let all = Database::connect(&server.database.app_url, 3, Duration::from_mins(1)).await.unwrap();
    let share = all.sharing(1);
    let first = OrgTx::begin(&share, Uuid::nil()).await.unwrap();
    let clone = share.clone();
    let second = tokio::spawn(async move { PlainTx::begin(&clone).await.map(drop) });
    // Long enough for a connection, which there is.
    for _ in 0..20 {
        PlainTx::begin(&share.whole()).await.unwrap().commit().await.unwrap();
        PlainTx::begin(&all).await.unwrap().commit().await.unwrap();
    }
    assert!(!second.is_finished(), "it took a connection that is the others'");
    first.commit().await.unwrap();
    second.await.unwrap().unwrap();
    // A place is given back also where nothing was committed.
    OrgTx::begin(&share, Uuid::nil()).await.unwrap().commit().await.unwrap();
}
