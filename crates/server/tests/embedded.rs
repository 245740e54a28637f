//! The embedded database under SIGKILL: a small program that holds one is started, killed and started again, as the user
//! who runs the tests and, where that is root, as an ordinary user too.

#[path = "embedded/driver.rs"]
mod driver;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use driver::{Driver, Place, alive, kill, places, until};

const FILL: &str = "create table kept (n int); insert into kept select generate_series(1, 1000)";
const COUNT: &str = "select count(*) from kept";

#[test]
fn data_outlives_a_restart_and_nothing_is_left_running() {
    for place in places() {
        let driver = Driver::start(&place);
        let (supervisor, postmaster) = (driver.supervisor(), driver.postmaster());
        driver.sql(FILL);
        driver.stop();
        assert!(!alive(supervisor) && !alive(postmaster), "{place:?}");
        let driver = Driver::start(&place);
        assert_eq!(driver.sql(COUNT), "1000", "{place:?}");
        driver.stop();
    }
}

#[test]
fn committed_means_on_disk_and_only_the_password_opens_it() {
    for place in places() {
        let driver = Driver::start(&place);
        for (setting, value) in [
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("full_page_writes", "on"),
            ("listen_addresses", "127.0.0.1"),
            ("server_encoding", "UTF8"),
            ("password_encryption", "scram-sha-256"),
        ] {
            assert_eq!(driver.sql(&format!("show {setting}")), value, "{setting}");
        }
        assert_eq!(
            driver.sql("select left(rolpassword, 14) from pg_authid where rolname = 'postgres'"),
            "SCRAM-SHA-256$"
        );
        let (user, rest) = driver.url.split_once("//postgres:").unwrap();
        let wrong = format!("{user}//postgres:wrong{}", &rest[rest.find('@').unwrap()..]);
        let refused = Command::new("psql").args(["-w", &wrong, "-c", "select 1"]).output().unwrap();
        assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
        let password = place.home().join("password");
        assert_eq!(fs::metadata(&password).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(place.home()).unwrap().mode() & 0o777, 0o700);
        driver.stop();
    }
}

#[test]
fn the_database_never_runs_as_root_nor_sees_the_servers_secrets() {
    for place in places() {
        let driver = Driver::start(&place);
        for process in [driver.supervisor(), driver.postmaster()] {
            assert_ne!(fs::metadata(format!("/proc/{process}")).unwrap().uid(), 0, "{place:?}");
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap();
            assert!(!String::from_utf8_lossy(&environment).contains(driver::SECRET), "{place:?}");
        }
        driver.stop();
    }
}

#[test]
fn a_killed_server_takes_its_database_with_it_and_loses_nothing() {
    for place in places() {
        let driver = Driver::start(&place);
        driver.sql(FILL);
        let (supervisor, postmaster) = (driver.supervisor(), driver.postmaster());
        driver.kill();
        until("the orphans have ended", || !alive(supervisor) && !alive(postmaster));
        let driver = Driver::start(&place);
        assert_eq!(driver.sql(COUNT), "1000");
        // And without a pause between the end of one and the start of the next.
        driver.sql("insert into kept values (0)");
        driver.kill();
        let driver = Driver::start(&place);
        assert_eq!(driver.sql(COUNT), "1001");
        driver.stop();
    }
}

#[test]
fn a_killed_supervisor_is_noticed_and_its_orphan_is_stopped_by_the_next_start() {
    for place in places() {
        let mut driver = Driver::start(&place);
        driver.sql(FILL);
        let orphan = driver.postmaster();
        kill(driver.supervisor());
        assert_eq!(driver.next_line(), "exited");
        assert!(alive(orphan), "PostgreSQL goes on without its supervisor");
        let driver = Driver::start(&place);
        assert!(!alive(orphan), "{place:?}");
        assert_eq!(driver.sql(COUNT), "1000");
        driver.stop();
    }
}

#[test]
fn a_killed_postgres_is_noticed_and_recovers_at_the_next_start() {
    for place in places() {
        let mut driver = Driver::start(&place);
        driver.sql(FILL);
        kill(driver.postmaster());
        assert_eq!(driver.next_line(), "exited");
        let driver = Driver::start(&place);
        assert_eq!(driver.sql(COUNT), "1000");
        driver.stop();
    }
}

#[test]
fn all_three_killed_at_once_recover_too() {
    for place in places() {
        let driver = Driver::start(&place);
        driver.sql(FILL);
        let (supervisor, postmaster) = (driver.supervisor(), driver.postmaster());
        kill(supervisor);
        kill(postmaster);
        driver.kill();
        let driver = Driver::start(&place);
        assert_eq!(driver.sql(COUNT), "1000");
        driver.stop();
    }
}

#[test]
fn a_lock_file_whose_number_another_process_has_by_now_does_not_stop_the_start() {
    for place in places() {
        let driver = Driver::start(&place);
        driver.sql(FILL);
        driver.stop();
        let mut stranger = place.as_database_user(Command::new("sleep").arg("600")).spawn().unwrap();
        let cluster = place.home().join("cluster");
        let text = format!("{}\n{}\n1\n1\n\n127.0.0.1\n1 1\nready\n", stranger.id(), cluster.display());
        fs::write(cluster.join("postmaster.pid"), text).unwrap();
        let driver = Driver::start(&place);
        assert_eq!(driver.sql(COUNT), "1000");
        driver.stop();
        assert!(alive(stranger.id()), "a stranger is left alone");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}

#[test]
fn a_set_up_that_was_broken_off_begins_anew() {
    for place in places() {
        let driver = Driver::start(&place);
        driver.stop();
        let (cluster, draft) = (place.home().join("cluster"), place.home().join("cluster.new"));
        fs::rename(cluster, &draft).unwrap();
        fs::remove_file(draft.join("PG_VERSION")).unwrap();
        let driver = Driver::start(&place);
        assert_eq!(driver.sql("select 1"), "1");
        driver.stop();
        assert!(!draft.exists());
    }
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_and_the_first_goes_on() {
    for place in places() {
        let driver = Driver::start(&place);
        let refusal = Driver::refused(&place, place.data_dir());
        assert!(refusal.contains("another running Syncwatch uses"), "{refusal}");
        assert_eq!(driver.sql("select 1"), "1");
        driver.stop();
    }
}

#[test]
fn a_directory_the_database_cannot_reach_is_refused_with_advice() {
    for place in places() {
        let closed = place.data_dir().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(if place.is_root() { 0o700 } else { 0o000 })).unwrap();
        let refusal = Driver::refused(&place, &closed.join("data"));
        let advice = if place.is_root() { "who cannot enter" } else { "cannot be made" };
        assert!(refusal.contains(advice) && refusal.contains("closed"), "{refusal}");
    }
}

#[test]
fn a_cluster_of_another_user_is_refused_to_an_ordinary_one() {
    let mut places = places();
    let Some(Place { .. }) = places.iter().find(|place| place.is_root()) else { return };
    let (roots, ordinary) = (places.remove(0), places.remove(0));
    Driver::start(&roots).stop();
    let refusal = Driver::refused(&ordinary, roots.data_dir());
    assert!(refusal.contains("belongs to another user"), "{refusal}");
}

#[test]
fn a_broken_configuration_is_told_at_once() {
    for place in places() {
        Driver::start(&place).stop();
        fs::write(place.home().join("cluster/postgresql.conf"), "no_such_setting = 1\n").unwrap();
        let begun = std::time::Instant::now();
        let refusal = Driver::refused(&place, place.data_dir());
        assert!(refusal.contains("no_such_setting"), "{refusal}");
        assert!(begun.elapsed().as_secs() < 25, "what may pass is tried again for 30 s");
    }
}

#[test]
fn a_supervisor_started_by_hand_stops_on_sigterm() {
    for place in places() {
        let driver = Driver::start(&place);
        let postmaster = driver.postmaster();
        let terminated =
            Command::new("kill").arg(driver.supervisor().to_string()).stdout(Stdio::null()).status().unwrap();
        assert!(terminated.success());
        until("PostgreSQL has ended", || !alive(postmaster));
        let log = fs::read_to_string(place.home().join("postgres.log")).unwrap();
        assert!(
            log.contains("received fast shutdown request") && log.contains("database system is shut down"),
            "{log}"
        );
    }
}
