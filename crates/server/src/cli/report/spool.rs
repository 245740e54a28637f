//! Reports that could not be handed over, kept in files until they can.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use uuid::Uuid;

use super::execution::Execution;

/// Most reports that one run hands over for earlier ones.
const AT_ONCE: usize = 100;
const WAITING: &str = "json";
const REFUSED: &str = "refused";

/// The directory of reports that wait.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    directory: PathBuf,
}

impl Spool {
    /// The named directory, or the one in the user's state directory.
    pub(super) fn of(named: Option<PathBuf>) -> Option<Self> {
        named.or_else(default_directory).map(|directory| Self { directory })
    }

    /// Keeps a report for the next run.
    pub(super) fn keep(&self, execution: &Execution) -> anyhow::Result<PathBuf> {
        self.write(execution, WAITING)
    }

    /// Keeps a report that the server refuses, for a person to look at.
    pub(super) fn keep_refused(&self, execution: &Execution) -> anyhow::Result<PathBuf> {
        self.write(execution, REFUSED)
    }

    fn write(&self, execution: &Execution, ending: &str) -> anyhow::Result<PathBuf> {
        self.prepare()?;
        let name = Uuid::now_v7();
        let (unfinished, path) =
            (self.directory.join(format!(".{name}")), self.directory.join(format!("{name}.{ending}")));
        let written = || -> io::Result<()> {
            // It may hold labels of records and words of the job: for its owner alone.
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(&serde_json::to_vec(execution)?)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        let written = written().inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        });
        written.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }

    fn prepare(&self) -> anyhow::Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.with_context(|| format!("{} cannot be made", self.directory.display()))
    }

    /// Reports that wait for this address and this key or integration, oldest first. A file that cannot be read is
    /// left alone.
    pub(super) fn waiting(&self, url: &str, client_id: Option<&str>, integration: Uuid) -> Vec<(PathBuf, Execution)> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == WAITING))
            .collect();
        paths.sort();
        let ours = |execution: &Execution| {
            execution.url == url
                && (execution.integration == integration
                    || (client_id.is_some() && execution.client_id.as_deref() == client_id))
        };
        paths
            .into_iter()
            .filter_map(|path| {
                let execution = serde_json::from_slice(&fs::read(&path).ok()?).ok().filter(ours)?;
                Some((path, execution))
            })
            .take(AT_ONCE)
            .collect()
    }

    /// Forgets a report that was taken; another run may have been quicker.
    pub(super) fn forget(path: &Path) {
        let _ = fs::remove_file(path);
    }

    /// Puts a waiting report aside that the server refuses.
    pub(super) fn put_aside(path: &Path) {
        let _ = fs::rename(path, path.with_extension(REFUSED));
    }

    /// Takes in a file whose lines were not all taken, so that nothing in it is lost.
    pub(super) fn keep_lines(&self, lines: &Path) -> anyhow::Result<PathBuf> {
        self.prepare()?;
        let path = self.directory.join(format!("{}.jsonl", Uuid::now_v7()));
        let copied = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            io::copy(&mut File::open(lines)?, &mut file)?;
            file.sync_all()
        };
        copied().with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }
}

fn default_directory() -> Option<PathBuf> {
    let absolute = |path: PathBuf| Some(path).filter(|path| path.is_absolute());
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).and_then(absolute);
    let state = state.or_else(|| Some(std::env::home_dir().and_then(absolute)?.join(".local/state")))?;
    Some(state.join("syncwatch/reports"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use chrono::DateTime;
    use serde_json::Value;

    use super::super::execution::{Run, Target};
    use super::*;

    fn execution(url: &str, client_id: Option<&str>, integration: Uuid) -> Execution {
        Execution {
            url: url.to_owned(),
            client_id: client_id.map(str::to_owned),
            integration,
            target: Target::Run(Box::new(Run {
                integration_config_id: integration,
                connector_type: None,
                sync_type: None,
                client_run_id: "nightly".to_owned(),
                started_at: DateTime::UNIX_EPOCH,
                lease_seconds: 60,
                metadata: Value::Null,
            })),
            completed_at: DateTime::UNIX_EPOCH,
            failure: None,
            records: Vec::new(),
            bad_lines: Vec::new(),
            outcomes_missing: false,
        }
    }

    #[test]
    fn what_waits_is_found_by_its_own_kind_alone_and_by_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::of(Some(directory.path().join("a/b"))).unwrap();
        let (integration, other) = (Uuid::now_v7(), Uuid::now_v7());
        assert!(spool.waiting("http://a", Some("key"), integration).is_empty());
        let first = spool.keep(&execution("http://a", Some("key"), integration)).unwrap();
        let second = spool.keep(&execution("http://a", None, integration)).unwrap();
        spool.keep_refused(&execution("http://a", Some("key"), integration)).unwrap();
        fs::write(directory.path().join("a/b/broken.json"), "{").unwrap();
        let paths = |url: &str, key: Option<&str>, integration| -> Vec<PathBuf> {
            spool.waiting(url, key, integration).into_iter().map(|(path, _)| path).collect()
        };
        assert_eq!(paths("http://a", Some("key"), integration), [first.clone(), second.clone()]);
        assert_eq!(paths("http://a", Some("key"), other), std::slice::from_ref(&first));
        assert_eq!(paths("http://a", None, integration).len(), 2);
        assert!(paths("http://b", Some("key"), integration).is_empty() && paths("http://a", None, other).is_empty());
        assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(directory.path().join("a/b")).unwrap().permissions().mode() & 0o777, 0o700);
        Spool::forget(&first);
        Spool::forget(&first);
        Spool::put_aside(&second);
        assert!(paths("http://a", Some("key"), integration).is_empty());
        // An attempt's, too, is found by its integration when its key was replaced by another.
        let target = Target::Attempt { sync_id: Uuid::now_v7(), attempt: 0 };
        spool.keep(&Execution { target, ..execution("http://c", Some("key"), integration) }).unwrap();
        assert_eq!(paths("http://c", Some("another"), integration).len(), 1);
    }
}
