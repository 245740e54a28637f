//! An archive that is away: who needs it is told to come back, everybody else notices nothing.

use std::fs;

use crate::scene::{CLAIM, FOLLOWED, Scene};

#[tokio::test]
async fn only_requests_that_need_the_archive_are_told_to_come_back() {
    let scene = Scene::new().await;
    let old = scene.fill(scene.month(13), 4).await[1];
    let mut new = Vec::new();
    for minutes in 1..=3 {
        let at = scene.server.clock.now() - chrono::Duration::minutes(minutes);
        new.push(scene.insert(scene.organization.id, scene.integration, "accounting_push", at, 1).await);
    }
    scene.archive(&[]).await;
    let away = scene.server.config.data_dir.join("elsewhere");
    fs::rename(scene.directory(), &away).unwrap();
    let path = format!("/sync-logs/{old}");
    for path in [
        path.clone(),
        format!("{path}/attempts"),
        format!("{path}/records"),
        format!("{path}/error-groups"),
        "/sync-logs".to_owned(),
        "/sync-logs?status=failed".to_owned(),
        format!("/source-records/{CLAIM}/{FOLLOWED}/journey"),
    ] {
        let answer = scene.admin.get(&path).send().await;
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{path}");
        answer.problem(503, "unavailable");
    }
    for path in [
        format!("/sync-logs/{}", new[0]),
        format!("/sync-logs/{}/records", new[0]),
        "/sync-logs?limit=2".to_owned(),
        "/integrations".to_owned(),
        format!("/integrations/{}/trends", scene.integration),
    ] {
        scene.get(&path).await;
    }
    fs::rename(&away, scene.directory()).unwrap();
    scene.get(&path).await;
    assert_eq!(scene.walk("/sync-logs", 2).await.len(), 7);
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_end() {
    let scene = Scene::new().await;
    let old = scene.fill(scene.month(13), 4).await[1];
    scene.archive(&[]).await;
    for file in scene.files().into_iter().filter(|file| file.ends_with(".parquet")) {
        let path = scene.directory().join(file);
        let length = fs::metadata(&path).unwrap().len();
        fs::write(&path, vec![b'x'; usize::try_from(length).unwrap()]).unwrap();
    }
    scene.admin.get(&format!("/sync-logs/{old}")).send().await.problem(500, "internal");
    scene.get("/integrations").await;
}
