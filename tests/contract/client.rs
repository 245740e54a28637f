//! A client generated from the description drives a whole sync (`whole_sync.py`).

use tests::organization::{ALL_SCOPES, PASSWORD};
use tests::server::TestServer;

use crate::tool::{checked_out, committed_file, python_program, run};

#[tokio::test]
async fn a_generated_client_drives_a_whole_sync() {
    let directory = tempfile::tempdir().unwrap();
    let mut generator = python_program("openapi-python-client");
    generator
        .args(["generate", "--meta", "none", "--fail-on-warning", "--path"])
        .arg(committed_file())
        .arg("--output-path")
        .arg(directory.path().join("syncwatch_client"))
        .arg("--config")
        .arg(checked_out("tests/contract/client.yaml"))
        .current_dir(directory.path());
    let (content, printed) = run(&mut generator).await;
    assert!(content && !printed.to_lowercase().contains("warning"), "{printed}");

    let server = TestServer::start().await;
    let organization = server.organization("Generated").await;
    let email = organization.address("org_admin");
    organization.person(&email, "org_admin").await;
    let (key, secret) = organization.key(ALL_SCOPES).await;
    let mut script = python_program("python");
    script
        .arg(checked_out("tests/contract/whole_sync.py"))
        .env("PYTHONPATH", directory.path())
        .env("SYNCWATCH_URL", server.base())
        .env("SYNCWATCH_EMAIL", email)
        .env("SYNCWATCH_PASSWORD", PASSWORD)
        .env("SYNCWATCH_CLIENT_ID", key.to_string())
        .env("SYNCWATCH_CLIENT_SECRET", secret)
        .current_dir(directory.path());
    let (content, printed) = run(&mut script).await;
    assert!(content, "{printed}");
}
