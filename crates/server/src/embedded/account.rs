//! Whose processes and files the embedded database's are.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// Users to choose from when the server is root, the best first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// An unprivileged user.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The prepared directory of the database.
#[derive(Debug)]
pub(super) struct Home {
    /// The installation's data directory, resolved.
    pub(super) data_dir: PathBuf,
    /// The database's own directory below it, for its user alone.
    pub(super) directory: PathBuf,
    /// The user to become; none where the server is not root.
    pub(super) account: Option<Account>,
}

/// Makes the database's directory, with the owner it needs.
pub(super) fn prepare(data_dir: &Path) -> anyhow::Result<Home> {
    fs::create_dir_all(data_dir)
        .with_context(|| format!("the data directory {} cannot be made", data_dir.display()))?;
    let data_dir = data_dir.canonicalize()?;
    let directory = super::home_in(&data_dir);
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("{} cannot be made", directory.display()));
        }
        _ => {}
    }
    let owner = fs::metadata(&directory)?;
    let me = rustix::process::geteuid();
    if !me.is_root() {
        ensure!(
            owner.uid() == me.as_raw(),
            "{} belongs to another user (uid {}): run as that user, as root, or with another data directory",
            directory.display(),
            owner.uid()
        );
        return Ok(Home { data_dir, directory, account: None });
    }
    let account = if owner.uid() == 0 {
        let account = unprivileged(&fs::read_to_string("/etc/passwd")?)
            .context("this machine has neither a user `postgres` nor `nobody` to run the database as")?;
        chown(&directory, Some(account.uid), Some(account.gid))?;
        account
    } else {
        // Made by an earlier start, perhaps one that was not root's: its owner keeps it.
        Account { uid: owner.uid(), gid: owner.gid() }
    };
    fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
    open_passage(&data_dir, &account)?;
    Ok(Home { data_dir, directory, account: Some(account) })
}

/// Lets `account` pass through the data directory, and checks that it can come that far.
fn open_passage(data_dir: &Path, account: &Account) -> anyhow::Result<()> {
    let own = fs::metadata(data_dir)?;
    if !may_enter(&own, account) {
        // Passing through shows no names and opens no files; those keep their own modes.
        fs::set_permissions(data_dir, Permissions::from_mode(own.mode() & 0o7777 | 0o011))?;
    }
    for ancestor in data_dir.ancestors().skip(1) {
        let metadata = fs::metadata(ancestor)?;
        if !may_enter(&metadata, account) {
            bail!(
                "started as root, the database runs as the user with uid {}, who cannot enter {} (mode {:o}): choose a \
                 data directory that every user can reach, such as /var/lib/syncwatch, or run as an ordinary user",
                account.uid,
                ancestor.display(),
                metadata.mode() & 0o777
            );
        }
    }
    Ok(())
}

fn may_enter(directory: &Metadata, account: &Account) -> bool {
    let bit = if directory.uid() == account.uid {
        0o100
    } else if directory.gid() == account.gid {
        0o010
    } else {
        0o001
    };
    directory.mode() & bit != 0
}

/// The first of [`UNPRIVILEGED`] in the text of a password file.
fn unprivileged(passwd: &str) -> Option<Account> {
    UNPRIVILEGED.iter().find_map(|wanted| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _password) = (fields.next()?, fields.next()?);
            let account = Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? };
            (name == *wanted && account.uid != 0).then_some(account)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHOUT_POSTGRES: &str = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533:nobody:/:/usr/sbin/nologin\n";

    #[test]
    fn postgres_is_preferred_to_nobody_whatever_the_order() {
        let both = format!("{WITHOUT_POSTGRES}postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(unprivileged(&both), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(unprivileged(WITHOUT_POSTGRES), Some(Account { uid: 65534, gid: 65533 }));
    }

    #[test]
    fn a_password_file_without_either_or_with_rubbish_gives_nobody() {
        assert_eq!(unprivileged("root:x:0:0:root:/root:/bin/bash\n"), None);
        assert_eq!(unprivileged("postgres\nnobody:x:many:1\n\n:::"), None);
        assert_eq!(unprivileged("postgres:x:0:0::/:/bin/sh\n"), None, "never root under another name");
    }

    #[test]
    fn entering_is_judged_by_the_bit_of_owner_group_or_others() {
        let directory = tempfile::tempdir().unwrap();
        let set = |mode| fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        let read = || fs::metadata(directory.path()).unwrap();
        let (owner, group) = (read().uid(), read().gid());
        let others = Account { uid: owner + 1, gid: group + 1 };
        set(0o710);
        assert!(may_enter(&read(), &Account { uid: owner, gid: group + 1 }));
        assert!(may_enter(&read(), &Account { uid: owner + 1, gid: group }));
        assert!(!may_enter(&read(), &others));
        set(0o701);
        assert!(may_enter(&read(), &others));
        assert!(!may_enter(&read(), &Account { uid: owner + 1, gid: group }));
    }
}
